// Recordings of silence in every container that is measured, made by hand: as short as their formats allow.

/** 16 kHz, 16 bits, one channel. */
export function wav(seconds: number, before: Buffer = Buffer.alloc(0)): Buffer {
  const rate = 32_000;
  const bytes = Math.round(seconds * rate);
  const head = Buffer.alloc(36);
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
  const data = Buffer.alloc(8);
  data.write('data', 0, 'latin1');
  data.writeUInt32LE(bytes, 4);
  return Buffer.concat([head, before, data, Buffer.alloc(bytes, '\r\n--x')]);
}

/** 128 kbit/s, 44.1 kHz, stereo; with tags in front, and with the number of its frames where given. */
export function mp3(seconds: number, tagBytes = 0, frames: number | null = null): Buffer {
  const audio = Buffer.alloc(Math.round(seconds * 16_000));
  audio.set([0xff, 0xfb, 0x90, 0x00]);
  if (frames !== null) {
    audio.write('Xing', 36, 'latin1');
    audio.writeUInt32BE(1, 40);
    audio.writeUInt32BE(frames, 44);
  }
  return Buffer.concat([id3(tagBytes), audio]);
}

export function id3(bytes: number): Buffer {
  const tag = Buffer.alloc(bytes === 0 ? 0 : 10 + bytes);
  if (bytes === 0) return tag;
  tag.write('ID3\x04\0\0', 0, 'latin1');
  for (let i = 0; i < 4; i++) tag[6 + i] = (bytes >> (7 * (3 - i))) & 0x7f;
  return tag;
}

/** Layer III at 44.1 kHz, each frame at another rate, and nobody tells how many there are. */
export function mp3OfManyRates(frames: number): Buffer {
  const kilobits = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
  const parts = Array.from({ length: frames }, (_, i) => {
    const index = 1 + (i % 14);
    const frame = Buffer.alloc(Math.floor((144_000 * kilobits[index]!) / 44_100));
    frame.set([0xff, 0xfb, index << 4, 0]);
    return frame;
  });
  return Buffer.concat([...parts, Buffer.from(`TAG${'\0'.repeat(125)}`, 'latin1')]);
}

/** Layer II, 48 kHz, 192 kbit/s. */
export function mpga(frames: number): Buffer {
  const frame = Buffer.alloc(576);
  frame.set([0xff, 0xfd, 0xa4, 0]);
  return Buffer.concat(Array.from({ length: frames }, () => frame));
}

/** AAC at 24 kHz, 1024 samples in a frame. */
export function adts(frames: number): Buffer {
  return Buffer.concat(
    Array.from({ length: frames }, (_, i) => {
      const frame = Buffer.alloc(7 + 20 + (i % 50));
      frame.set([0xff, 0xf1, 0x58, 0x80, frame.length >> 3, ((frame.length & 7) << 5) | 0x1f, 0xfc]);
      return frame;
    }),
  );
}

function oggPage(serial: number, position: bigint, body: Buffer, isFirst = false): Buffer {
  const segments = Math.ceil((body.length + 1) / 255);
  const head = Buffer.alloc(27 + segments, 255);
  head.write('OggS\0', 0, 'latin1');
  head[5] = isFirst ? 2 : 0;
  head.writeBigInt64LE(position, 6);
  head.writeUInt32LE(serial, 14);
  head[26] = segments;
  head[head.length - 1] = body.length % 255;
  return Buffer.concat([head, body]);
}

/** Up to a page for each second. @param samplesPerSecond of its positions */
function oggStream(serial: number, first: Buffer, seconds: number, samplesPerSecond: number, skipped = 0): Buffer[] {
  const pages = [oggPage(serial, 0n, first, true), oggPage(serial, 0n, Buffer.from('OpusTags or the like'))];
  for (let at = 1; at < seconds + 1; at++) {
    const position = Math.round(Math.min(at, seconds) * samplesPerSecond) + skipped;
    pages.push(oggPage(serial, -1n, Buffer.alloc(700, 'OggS')));
    pages.push(oggPage(serial, BigInt(position), Buffer.alloc(2000 + at)));
  }
  return pages;
}

export function oggOpus(seconds: number): Buffer {
  const first = Buffer.from('OpusHead\x01\x01\0\0\0\0\0\0\0\0\0', 'latin1');
  first.writeUInt16LE(312, 10);
  return Buffer.concat(oggStream(7, first, seconds, 48_000, 312));
}

/** Beside another stream that is no sound. */
export function oggVorbis(seconds: number): Buffer {
  const first = Buffer.alloc(30);
  first.write('\x01vorbis', 0, 'latin1');
  first.writeUInt32LE(44_100, 12);
  const [head, ...pages] = oggStream(9, first, seconds, 44_100);
  const picture = oggPage(3, 0n, Buffer.from('\x80theora and more of it'), true);
  return Buffer.concat([picture, head!, oggPage(3, 1n << 40n, Buffer.alloc(9)), ...pages]);
}

export function oggFlac(seconds: number): Buffer {
  const first = Buffer.alloc(51);
  first.write('\x7fFLAC\x01\0\0\x01fLaC', 0, 'latin1');
  first.writeUIntBE(16_000 << 4, 27, 3);
  return Buffer.concat(oggStream(1, first, seconds, 16_000));
}

/** 24 kHz, 4096 samples in each frame. @param isTold the first block says how many samples there are */
export function flac(frames: number, isTold: boolean): Buffer {
  const info = Buffer.alloc(38);
  info.set([0, 0, 0, 34], 0);
  info.writeUIntBE((24_000 << 4) | 1, 14, 3);
  if (isTold) info.writeUInt32BE(frames * 4096, 18);
  const comments = Buffer.alloc(4 + 300, 0xff);
  comments.set([0x84, 0, 1, 0x2c], 0);
  const sound = Array.from({ length: frames }, (_, number) => {
    const head = [
      0xff,
      0xf8,
      0xc7,
      0x08,
      ...(number < 0x80 ? [number] : [0xc0 | (number >> 6), 0x80 | (number & 0x3f)]),
    ];
    const body = Buffer.alloc(900, 0x55);
    // What looks like a head, and is none.
    body.set([0xff, 0xf8, 0xc7, 0x08, number & 0x7f, 0x00], 400);
    return Buffer.concat([Buffer.from([...head, crc8(head)]), body]);
  });
  return Buffer.concat([Buffer.from('fLaC'), info, comments, ...sound]);
}

function crc8(bytes: readonly number[]): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = ((sum << 1) ^ ((sum & 0x80) === 0 ? 0 : 7)) & 0xff;
  }
  return sum;
}

function box(tag: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head.write(tag, 4, 'latin1');
  return Buffer.concat([head, body]);
}

const words = (...numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * i);
  return bytes;
};

const FILE_TYPE = box('ftyp', Buffer.from('M4A \0\0\0\0isom'));

/** Milliseconds in the whole file; 48,000 units a second in its sound. Its film is longer. */
function movie(seconds: number, ...more: readonly Buffer[]): Buffer {
  const track = (id: number, kind: string, length: number) =>
    box(
      'trak',
      box('tkhd', words(7, 0, 0, id, 0, Math.round(length * 1000)), Buffer.alloc(60)),
      box(
        'mdia',
        box('mdhd', words(0, 0, 0, 48_000, Math.round(length * 48_000)), Buffer.alloc(4)),
        box('hdlr', words(0, 0), Buffer.from(kind), Buffer.alloc(13)),
        box('minf', Buffer.alloc(5000, 'moov')),
      ),
    );
  const film = seconds === 0 ? 0 : seconds + 5;
  return box(
    'moov',
    box('mvhd', words(0, 0, 0, 1000, film * 1000), Buffer.alloc(80)),
    track(1, 'vide', film),
    track(2, 'soun', seconds),
    ...more,
  );
}

export function mp4(seconds: number, order: 'moov first' | 'moov last' = 'moov last'): Buffer {
  const sound = box('mdat', Buffer.alloc(90_000, 'trak'));
  const parts = order === 'moov first' ? [movie(seconds), sound] : [sound, movie(seconds)];
  return Buffer.concat([FILE_TYPE, box('free'), ...parts]);
}

/** The sound's box is so large that its size has 64 bits. */
export function mp4OfLongBoxes(seconds: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(1, 0);
  head.write('mdat', 4, 'latin1');
  head.writeBigUInt64BE(16n + 5000n, 8);
  return Buffer.concat([FILE_TYPE, head, Buffer.alloc(5000), movie(seconds)]);
}

/** As browsers record it: a fragment for each second, whose samples are told of one by one, or are like all others. */
export function mp4OfFragments(seconds: number): Buffer {
  const usual = box('mvex', box('trex', words(0, 1, 1, 999_999, 0, 0)), box('trex', words(0, 2, 1, 960, 0, 0)));
  const fragment = (i: number) => {
    const samples = Array.from({ length: 50 }, () => [960, 7]).flat();
    const told = box('trun', words(0x301, 50, 100, ...samples));
    const like = box('trun', words(0x201, 50, 100, ...Array.from({ length: 50 }, () => 7)));
    return Buffer.concat([
      box('moof', box('traf', box('tfhd', words(0, 1)), box('trun', words(0x100, 1, 77_777)))),
      box('moof', box('traf', box('tfhd', words(0, 2)), i % 2 === 0 ? told : like)),
      box('mdat', Buffer.alloc(350)),
    ]);
  };
  return Buffer.concat([FILE_TYPE, movie(0, usual), ...Array.from({ length: seconds }, (_, i) => fragment(i))]);
}

function element(id: number, body: Buffer, hasSize = true): Buffer {
  const name = Buffer.from(id.toString(16), 'hex');
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE((1n << 56n) | (hasSize ? BigInt(body.length) : (1n << 56n) - 1n));
  return Buffer.concat([name, size, body]);
}

const number = (value: number): Buffer => Buffer.from([value >> 16, value >> 8, value]);

function webmHead(info: readonly Buffer[]): Buffer[] {
  const track = (id: number, kind: number) =>
    element(
      0xae,
      Buffer.concat([element(0xd7, number(id)), element(0x83, number(kind)), element(0x86, Buffer.from('A'))]),
    );
  return [
    element(0xec, Buffer.alloc(300)),
    element(0x1549a966, Buffer.concat([element(0x2ad7b1, number(1_000_000)), ...info])),
    element(0x1654ae6b, Buffer.concat([track(1, 1), track(2, 2)])),
  ];
}

const EBML = element(0x1a45dfa3, Buffer.alloc(20));

export function webm(seconds: number): Buffer {
  const duration = Buffer.alloc(8);
  duration.writeDoubleBE(seconds * 1000);
  const parts = webmHead([element(0x4489, duration)]);
  return Buffer.concat([EBML, element(0x18538067, Buffer.concat([...parts, element(0x1f43b675, Buffer.alloc(0))]))]);
}

/** As browsers record it: nothing tells how long it is, and a cluster each second has a block each 20 milliseconds. */
export function webmOfBlocks(seconds: number): Buffer {
  const block = (track: number, at: number) => {
    const head = Buffer.from([0x80 | track, 0, 0, 0x80]);
    head.writeInt16BE(at, 1);
    return Buffer.concat([head, Buffer.alloc(60)]);
  };
  const clusters = Array.from({ length: seconds }, (_, second) => {
    const sound = Array.from({ length: 50 }, (_unused, i) =>
      i % 2 === 0 ? element(0xa3, block(2, 20 * i)) : element(0xa0, element(0xa1, block(2, 20 * i))),
    );
    const film = element(0xa3, block(1, 30_000));
    return element(0x1f43b675, Buffer.concat([element(0xe7, number(1000 * second)), film, ...sound]), false);
  });
  return Buffer.concat([EBML, element(0x18538067, Buffer.concat([...webmHead([]), ...clusters]), false)]);
}

/** MPEG-2: a pack and a packet of sound for each fifth of a second, and a packet of pictures beside it. */
export function mpeg(seconds: number): Buffer {
  const time = (ticks: number) =>
    Buffer.from([
      0x21 | ((ticks >> 29) & 0x0e),
      (ticks >> 22) & 0xff,
      0x01 | ((ticks >> 14) & 0xfe),
      (ticks >> 7) & 0xff,
      0x01 | ((ticks << 1) & 0xfe),
    ]);
  const packet = (code: number, ticks: number) => {
    const body = Buffer.concat([Buffer.from([0x80, 0x80, 5]), time(ticks), Buffer.alloc(400, 1)]);
    return Buffer.concat([Buffer.from([0, 0, 1, code, body.length >> 8, body.length & 0xff]), body]);
  };
  const pack = Buffer.from([0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xf8]);
  const parts = Array.from({ length: seconds * 5 }, (_, i) =>
    Buffer.concat([pack, packet(0xc0, 45_000 + 18_000 * i), packet(0xe0, 9_000_000)]),
  );
  return Buffer.concat([...parts, Buffer.from([0, 0, 1, 0xb9])]);
}
