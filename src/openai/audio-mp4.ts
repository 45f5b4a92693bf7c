// MP4, M4A and QuickTime: boxes in boxes. The one that tells how long it lasts may stand behind the sound; in files that were written
// as they were recorded, each fragment tells of itself.
import { type Container, lacks, tagAt } from './audio-walk.ts';

const HEAD_BYTES = 8;
const LONG_HEAD_BYTES = 16;
/** Boxes that are gone into: what stands in them is read as if it stood beside them. */
const ENTERED = new Set(['moov', 'trak', 'mdia', 'mvex', 'moof', 'traf']);
/** Boxes that are read, and what is needed of them at most. */
const READ: Readonly<Record<string, number>> = {
  mvhd: 32,
  tkhd: 36,
  mdhd: 32,
  hdlr: 12,
  trex: 16,
  tfhd: 24,
  trun: 16,
};
const UNKNOWN = 0xffffffff;

interface Track {
  id: number;
  /** In units of the whole file, and in its own. */
  duration: number;
  mediaDuration: number;
  unitsPerSecond: number;
}

export class Mp4File implements Container {
  want = HEAD_BYTES;
  #unitsPerSecond = 0;
  /** That is being read of. */
  #track: Track = newTrack();
  #sound: Track | null = null;
  /** Of a sample, where its fragment does not say: in the whole file by track, and in this fragment. */
  readonly #usual = new Map<number, number>();
  #fragmentTrack = 0;
  #fragmentUsual = 0;
  #fragments = 0;
  /** Samples that tell their own duration: how many are to come, and how much stands of each. */
  #samplesLeft = 0;
  #sampleBytes = 0;
  #bytesBehind = 0;
  #isLost = false;

  step(bytes: Buffer, at: number): number {
    if (this.#samplesLeft > 0) return this.#readSamples(bytes, at);
    let [size, headBytes] = [bytes.readUInt32BE(at), HEAD_BYTES];
    const tag = tagAt(bytes, at + 4);
    if (size === 1) {
      if (lacks(this, bytes, at, LONG_HEAD_BYTES)) return 0;
      size = Number(bytes.readBigUInt64BE(at + HEAD_BYTES));
      headBytes = LONG_HEAD_BYTES;
    }
    // It goes on to the end of the file.
    if (size === 0) this.want = 0;
    if (size < headBytes) {
      this.#isLost = size !== 0;
      this.want = 0;
      return 0;
    }
    if (ENTERED.has(tag)) {
      if (tag === 'trak') this.#track = newTrack();
      this.want = HEAD_BYTES;
      return headBytes;
    }
    const needed = Math.min(READ[tag] ?? 0, size - headBytes);
    if (needed > 0) {
      if (lacks(this, bytes, at, headBytes + needed)) return 0;
      this.want = HEAD_BYTES;
      const body = Buffer.alloc(READ[tag]!);
      bytes.copy(body, 0, at + headBytes, at + headBytes + needed);
      this.#readBox(tag, body);
      if (tag === 'trun') return headBytes + this.#beginRun(body, size - headBytes);
    }
    this.want = HEAD_BYTES;
    return size;
  }

  #readBox(tag: string, body: Buffer): void {
    const isLong = body[0] === 1;
    switch (tag) {
      case 'mvhd':
        this.#unitsPerSecond = body.readUInt32BE(isLong ? 20 : 12);
        break;
      case 'tkhd':
        this.#track.id = body.readUInt32BE(isLong ? 20 : 12);
        this.#track.duration = durationAt(body, isLong, 28, 20);
        break;
      case 'mdhd':
        this.#track.unitsPerSecond = body.readUInt32BE(isLong ? 20 : 12);
        this.#track.mediaDuration = durationAt(body, isLong, 24, 16);
        break;
      case 'hdlr':
        if (tagAt(body, 8) === 'soun') this.#sound ??= this.#track;
        break;
      case 'trex':
        if (this.#usual.size < TRACKS_MAX) this.#usual.set(body.readUInt32BE(4), body.readUInt32BE(12));
        break;
      case 'tfhd': {
        const flags = body.readUIntBE(1, 3);
        this.#fragmentTrack = body.readUInt32BE(4);
        const usualAt = 8 + ((flags & 0x1) !== 0 ? 8 : 0) + ((flags & 0x2) !== 0 ? 4 : 0);
        this.#fragmentUsual =
          (flags & 0x8) !== 0 ? body.readUInt32BE(usualAt) : (this.#usual.get(this.#fragmentTrack) ?? 0);
        break;
      }
    }
  }

  /** @returns what to go on by behind the box's head */
  #beginRun(body: Buffer, bodyBytes: number): number {
    if (this.#sound === null || this.#fragmentTrack !== this.#sound.id) return bodyBytes;
    const flags = body.readUIntBE(1, 3);
    const samples = body.readUInt32BE(4);
    if ((flags & 0x100) === 0) {
      this.#fragments += samples * this.#fragmentUsual;
      return bodyBytes;
    }
    const samplesAt = 8 + ((flags & 0x1) !== 0 ? 4 : 0) + ((flags & 0x4) !== 0 ? 4 : 0);
    const sampleBytes = 4 * [0x100, 0x200, 0x400, 0x800].filter((flag) => (flags & flag) !== 0).length;
    this.#bytesBehind = bodyBytes - samplesAt - samples * sampleBytes;
    if (samples === 0 || this.#bytesBehind < 0) {
      this.#isLost ||= this.#bytesBehind < 0;
      return bodyBytes;
    }
    this.#samplesLeft = samples;
    this.#sampleBytes = this.want = sampleBytes;
    return samplesAt;
  }

  #readSamples(bytes: Buffer, from: number): number {
    let at = from;
    for (; this.#samplesLeft > 0 && bytes.length - at >= this.#sampleBytes; at += this.#sampleBytes) {
      this.#fragments += bytes.readUInt32BE(at);
      this.#samplesLeft--;
    }
    if (this.#samplesLeft > 0) return at - from;
    this.want = HEAD_BYTES;
    return at - from + this.#bytesBehind;
  }

  seconds(): number | null {
    if (this.#isLost || this.#sound === null) return null;
    const { duration, mediaDuration, unitsPerSecond } = this.#sound;
    if (this.#fragments > 0) return (mediaDuration + this.#fragments) / unitsPerSecond;
    // What is played of it: a player leaves out what an encoder puts in front.
    if (duration > 0 && this.#unitsPerSecond > 0) return duration / this.#unitsPerSecond;
    return mediaDuration > 0 ? mediaDuration / unitsPerSecond : null;
  }
}

const TRACKS_MAX = 64;

function newTrack(): Track {
  return { id: 0, duration: 0, mediaDuration: 0, unitsPerSecond: 0 };
}

/** 0 where the file does not know. */
function durationAt(body: Buffer, isLong: boolean, longAt: number, shortAt: number): number {
  if (!isLong) return body.readUInt32BE(shortAt) === UNKNOWN ? 0 : body.readUInt32BE(shortAt);
  const duration = body.readBigUInt64BE(longAt);
  return duration === 2n ** 64n - 1n ? 0 : Number(duration);
}
