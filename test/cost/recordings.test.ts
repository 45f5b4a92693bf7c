// Transcripts and subtitles report no usage, nor does speech: what they cost is estimated by how long the recording lasts, where its
// container says so, and is unpriced where it does not.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import fc from 'fast-check';

import { AudioLength } from '../../src/openai/audio-length.ts';
import { scanRequest } from '../../src/openai/request.ts';
import type { ScriptedReply } from '../support/recorder.ts';
import * as recordings from '../support/recordings.ts';
import { mp3, wav } from '../support/recordings.ts';
import { type CostStand, asJson, form, json, openCostStand, readingsOf } from './stand.ts';

/** Of the chunk that is the sound. */
function withSize(file: Buffer, size: number): Buffer {
  file.writeUInt32LE(size, 40);
  return file;
}

function assertSeconds(told: number | null, expected: number | null): void {
  if (told === null || expected === null) assert.equal(told, expected);
  else assert.ok(Math.abs(told - expected) < 1e-6, `${told} is not ${expected}`);
}

describe('the length of a recording', () => {
  const RECORDINGS: readonly (readonly [story: string, bytes: Buffer, seconds: number | null])[] = [
    ['WAV', wav(2.5), 2.5],
    ['MP3 of one rate', mp3(3), 3],
    ['MP3 behind its tags', mp3(3, 300), 3],
    ['MP3 behind a picture', mp3(3, 60_000), 3],
    ['MP3 of many rates, by its frames', mp3(3, 20, 383), (383 * 1152) / 44_100],
    ['MP3 of many rates that nobody counted', recordings.mp3OfManyRates(300), (300 * 1152) / 44_100],
    ['WAV with other things in front', wav(2.5, Buffer.concat([Buffer.from('LIST\x05\0\0\0hello\0')])), 2.5],
    ['WAV written as it was spoken', withSize(wav(2.5), 0xffffffff), 2.5],
    ['layer II', recordings.mpga(100), 2.4],
    ['AAC', recordings.adts(300), 12.8],
    ['AAC behind its tags', Buffer.concat([recordings.id3(5000), recordings.adts(300)]), 12.8],
    ['AAC that is broken', Buffer.concat([recordings.adts(300), Buffer.alloc(90), recordings.adts(300)]), null],
    ['Ogg with Opus', recordings.oggOpus(12.5), 12.5],
    ['Ogg with Vorbis, beside a film', recordings.oggVorbis(12.5), 12.5],
    ['Ogg with FLAC', recordings.oggFlac(12.5), 12.5],
    ['Ogg, one behind the other', Buffer.concat([recordings.oggOpus(2.5), recordings.oggVorbis(4)]), 6.5],
    ['Ogg that is broken', Buffer.concat([recordings.oggOpus(3), Buffer.alloc(100)]), null],
    ['what only begins like Ogg', Buffer.from('OggS and so on, for as long as it takes to be a file'), null],
    ['FLAC', recordings.flac(6, true), 1.024],
    ['FLAC that does not tell, by its frames', recordings.flac(300, false), 51.2],
    ['MP4', recordings.mp4(30, 'moov first'), 30],
    ['MP4 that tells it at its end', recordings.mp4(30, 'moov last'), 30],
    ['MP4 with a size of 64 bits', recordings.mp4OfLongBoxes(30), 30],
    ['MP4 of fragments', recordings.mp4OfFragments(7), 7],
    ['MP4 that was cut off before it tells', recordings.mp4(30, 'moov last').subarray(0, 80_000), null],
    ['WebM', recordings.webm(12.5), 12.5],
    ['WebM as browsers record it', recordings.webmOfBlocks(7), 7],
    ['MPEG', recordings.mpeg(6), 6],
    ['text', Buffer.from('This is no recording at all, but a text.'), null],
    ['nothing', Buffer.alloc(0), null],
    ['half a header', Buffer.from('RIFF'), null],
  ];
  for (const [story, bytes, seconds] of RECORDINGS) {
    test(`${story}: ${seconds} s, however it is cut`, () => {
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 5 }), (sizes) => {
          const length = new AudioLength('');
          for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!)
            length.feed(bytes.subarray(at, at + sizes[i % sizes.length]!));
          assertSeconds(length.seconds(), seconds);
        }),
        { numRuns: 30 },
      );
    });
  }

  test('of a file that is made of heads alone comes soon, and nothing of it is kept', () => {
    for (const piece of [
      '\0\0\0\x08free',
      '\x1aE\xdf\xa3\x80\xec\x80\xec\x80\xec\x80\xec\x80\xec\x80',
      'RIFF\0\0\0\0WAVE',
    ]) {
      const chunk = Buffer.from(piece.repeat(64 * 64), 'latin1');
      const length = new AudioLength('');
      const startedMs = performance.now();
      for (let fed = 0; fed < 25_000_000; fed += chunk.length) length.feed(chunk);
      assert.equal(length.seconds(), null);
      assert.ok(performance.now() - startedMs < 5000, `${piece.slice(0, 4)} took too long`);
    }
  });

  test('of a file whose bytes were changed anywhere is none, or a length; and nothing breaks', () => {
    const whole = RECORDINGS.map(([, bytes]) => bytes.subarray(0, 20_000)).filter(({ length }) => length > 20);
    fc.assert(
      fc.property(
        fc.constantFrom(...whole),
        fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 3000 }),
        (bytes, changes, size) => {
          const changed = Buffer.from(bytes);
          for (const [at, byte] of changes) changed[at % changed.length] = byte;
          const length = new AudioLength('');
          for (let at = 0; at < changed.length; at += size) length.feed(changed.subarray(at, at + size));
          const seconds = length.seconds();
          assert.ok(seconds === null || (Number.isFinite(seconds) && seconds >= 0));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('is known of an upload that is cut anywhere, in front of its fields and behind them, and not of two files', () => {
    const bytes = wav(0.5);
    for (const name of ['file', 'file[]']) {
      const { headers, body } = form({ model: 'whisper-1', response_format: 'srt' }, { name: 'a.wav', bytes });
      const upload = Buffer.from(body.toString('latin1').replace('name="file"', `name="${name}"`), 'latin1');
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 4 }), (sizes) => {
          const scan = scanRequest(headers[0]![1], '', {
            announcedBytes: null,
            countsInput: false,
            measuresAudio: true,
          });
          for (let at = 0, i = 0; at < upload.length; at += sizes[i++ % sizes.length]!)
            scan.feed(upload.subarray(at, at + sizes[i % sizes.length]!));
          assert.equal(scan.facts().audioSeconds, 0.5);
        }),
        { numRuns: 30 },
      );
    }
    const { headers, body } = form({ model: 'whisper-1' }, { name: 'a.wav', bytes });
    const end = body.lastIndexOf('--cost7MA4YWxk--');
    const twice = Buffer.concat([body.subarray(0, end), body]);
    const scan = scanRequest(headers[0]![1], '', { announcedBytes: null, countsInput: false, measuresAudio: true });
    scan.feed(twice);
    assert.equal(scan.facts().audioSeconds, null);
  });
});

describe('a transcript without usage', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  const text = (body: string): ScriptedReply => ({ headers: [['Content-Type', 'text/plain; charset=utf-8']], body });
  const SUBTITLES = text('1\n00:00:00,000 --> 00:00:02,500\nGood day.\n\n');
  const upload = (operation: string, model: string, name: string, bytes: Buffer, answer: ScriptedReply) =>
    cost.exchange(
      {
        method: 'POST',
        target: `/openai/v1/audio/${operation}`,
        ...form({ model, response_format: 'srt' }, { name, bytes }),
      },
      answer,
    );

  for (const operation of ['transcriptions', 'translations']) {
    test(`of ${operation}: begun seconds of the recording, estimated`, async () => {
      const { record } = await upload(operation, 'whisper-1', 'a.wav', wav(59.5), SUBTITLES);
      assert.deepEqual(readingsOf(record), { transcribed_seconds: '60' });
      assert.deepEqual([record.cost.usd, record.cost.state, record.usage.source], ['0.006', 'estimated', 'estimated']);
    });
  }

  test('of a large upload that streams by is the same', async () => {
    const { record } = await upload('transcriptions', 'whisper-1', 'a.mp3', mp3(180, 4000), SUBTITLES);
    assert.ok(record.bytes.in > 2_000_000);
    assert.deepEqual([readingsOf(record), record.cost.usd], [{ transcribed_seconds: '180' }, '0.018']);
  });

  const CONTAINERS: readonly (readonly [name: string, bytes: Buffer])[] = [
    ['a.m4a', recordings.mp4(60, 'moov first')],
    ['a.mp4', recordings.mp4(60)],
    ['a.ogg', recordings.oggOpus(60)],
    ['a.oga', recordings.oggVorbis(60)],
    ['a.webm', recordings.webmOfBlocks(60)],
    ['a.flac', recordings.flac(351, true)],
    ['a.mpga', recordings.mpga(2500)],
    ['a.mpeg', recordings.mpeg(60)],
  ];
  for (const [name, bytes] of CONTAINERS) {
    test(`of ${name}, which lasts a minute`, async () => {
      const { record } = await upload('transcriptions', 'whisper-1', name, bytes, SUBTITLES);
      assert.deepEqual([readingsOf(record), record.cost.usd], [{ transcribed_seconds: '60' }, '0.006']);
      assert.deepEqual([record.cost.state, record.usage.source], ['estimated', 'estimated']);
    });
  }

  test('of a model that is billed by tokens: ten a second, and what was written', async () => {
    const { record } = await upload('transcriptions', 'gpt-4o-mini-transcribe', 'a.wav', wav(2), text('Good day.'));
    assert.deepEqual(readingsOf(record), { input_audio: '20', output_text: '3' });
    assert.equal(record.cost.state, 'estimated');
  });

  test('of what is no recording is unpriced, and never 0', async () => {
    const { record } = await upload('transcriptions', 'whisper-1', 'a.ogg', Buffer.from('OggS and so on'), SUBTITLES);
    assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.why], ['unpriced', null, 'no_usage']);
  });

  test('is not needed where the upstream reports, or says no', async () => {
    const told = asJson({ text: 'x', usage: { type: 'duration', seconds: 7 } });
    const { record } = await upload('transcriptions', 'whisper-1', 'a.wav', wav(30), told);
    assert.deepEqual([readingsOf(record), record.cost.state], [{ transcribed_seconds: '7' }, 'priced']);
    const { record: refused } = await upload(
      'transcriptions',
      'whisper-1',
      'a.wav',
      wav(30),
      asJson({ error: {} }, 400),
    );
    assert.deepEqual([refused.cost.state, refused.cost.pico_usd], ['free', '0']);
  });
});

describe('speech without usage', () => {
  let cost: CostStand;
  before(async () => {
    cost = await openCostStand();
  });
  after(() => cost.close());

  const speak = (format: string, body: Buffer) =>
    cost.exchange(
      {
        method: 'POST',
        target: '/openai/v1/audio/speech',
        ...json({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Good day to all.', response_format: format }),
      },
      {
        headers: [['Content-Type', `audio/${format}`]],
        body: [body.subarray(0, 999), body.subarray(999)],
        framing: 'chunked',
      },
    );

  const REPLIES: readonly (readonly [format: string, body: Buffer, seconds: number])[] = [
    ['mpeg', mp3(3), 3],
    ['opus', recordings.oggOpus(3), 3],
    ['aac', recordings.adts(75), 3.2],
    ['flac', recordings.flac(20, false), 3.413_333],
    ['wav', wav(3), 3],
    ['pcm', Buffer.alloc(3 * 48_000), 3],
  ];
  for (const [format, body, seconds] of REPLIES) {
    test(`in ${format}: twenty tokens a second, estimated`, async () => {
      const { reply, record } = await speak(format, body);
      assert.deepEqual(reply.body, body);
      assert.deepEqual(readingsOf(record), { input_text: '4', output_audio: String(Math.round(20 * seconds)) });
      assert.deepEqual([record.cost.state, record.usage.source], ['estimated', 'estimated']);
    });
  }

  test('in what is none of these is unpriced', async () => {
    const { record } = await speak('basic', Buffer.alloc(5000, 7));
    assert.deepEqual([record.cost.state, record.cost.pico_usd, record.cost.why], ['unpriced', null, 'no_usage']);
  });
});
