// Transcripts and subtitles report no usage: what they cost is estimated by how long the uploaded recording lasts, where its container
// says so, and is unpriced where it does not.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import fc from 'fast-check';

import { AudioLength } from '../../src/openai/audio-length.ts';
import { scanRequest } from '../../src/openai/request.ts';
import type { ScriptedReply } from '../support/recorder.ts';
import { type CostStand, asJson, form, openCostStand, readingsOf } from './stand.ts';

/** 16 kHz, 16 bits, one channel. */
function wav(seconds: number): Buffer {
  const rate = 32_000;
  const bytes = Math.round(seconds * rate);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + bytes, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(16_000, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(bytes, 40);
  return Buffer.concat([head, Buffer.alloc(bytes, '\r\n--x')]);
}

/** 128 kbit/s, 44.1 kHz, stereo; with tags in front, and with the number of its frames where given. */
function mp3(seconds: number, tagBytes = 0, frames: number | null = null): Buffer {
  const tag = Buffer.alloc(tagBytes === 0 ? 0 : 10 + tagBytes);
  if (tagBytes > 0) {
    tag.write('ID3\x04\0\0', 0, 'latin1');
    for (let i = 0; i < 4; i++) tag[6 + i] = (tagBytes >> (7 * (3 - i))) & 0x7f;
  }
  const audio = Buffer.alloc(Math.round(seconds * 16_000));
  audio.set([0xff, 0xfb, 0x90, 0x00]);
  if (frames !== null) {
    audio.write('Xing', 36, 'latin1');
    audio.writeUInt32BE(1, 40);
    audio.writeUInt32BE(frames, 44);
  }
  return Buffer.concat([tag, audio]);
}

describe('the length of a recording', () => {
  const RECORDINGS: readonly (readonly [story: string, bytes: Buffer, seconds: number | null])[] = [
    ['WAV', wav(2.5), 2.5],
    ['MP3 of one rate', mp3(3), 3],
    ['MP3 behind its tags', mp3(3, 300), 3],
    ['MP3 behind a picture', mp3(3, 60_000), 3],
    ['MP3 of many rates, by its frames', mp3(3, 20, 383), (383 * 1152) / 44_100],
    ['Ogg', Buffer.from('OggS and so on, for as long as it takes to be a file'), null],
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
          assert.equal(length.seconds(), seconds);
        }),
        { numRuns: 30 },
      );
    });
  }

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

  test('of a model that is billed by tokens: ten a second, and what was written', async () => {
    const { record } = await upload('transcriptions', 'gpt-4o-mini-transcribe', 'a.wav', wav(2), text('Good day.'));
    assert.deepEqual(readingsOf(record), { input_audio: '20', output_text: '3' });
    assert.equal(record.cost.state, 'estimated');
  });

  test('of another container is unpriced, and never 0', async () => {
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
