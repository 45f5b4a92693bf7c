// FLAC: its first block tells how many samples there are. One that was written as it was spoken does not; then its frames are counted.
import type { Container } from './audio-walk.ts';

const MARK_BYTES = 4;
const HEAD_BYTES = 4;
const STREAM_INFO_BYTES = 18;
/** A frame's head with the longest number, size and rate. */
const FRAME_HEAD_BYTES = 16;
const LAST_BLOCK = 0x80;
const RATES = [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

type State = 'mark' | 'stream info' | 'blocks' | 'frames';

export class FlacFile implements Container {
  want = MARK_BYTES;
  #state: State = 'mark';
  #samplesPerSecond = 0;
  #samples = 0;
  /** Number of the next frame, or of its first sample. */
  #next = 0;

  step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'mark':
        this.#go('stream info', HEAD_BYTES + STREAM_INFO_BYTES);
        return MARK_BYTES;
      case 'stream info': {
        const info = at + HEAD_BYTES;
        const isStreamInfo = (bytes[at]! & ~LAST_BLOCK) === 0;
        this.#samplesPerSecond = isStreamInfo ? bytes.readUIntBE(info + 10, 3) >> 4 : 0;
        this.#samples = (bytes[info + 13]! & 0x0f) * 2 ** 32 + bytes.readUInt32BE(info + 14);
        if (this.#samples > 0 || this.#samplesPerSecond === 0) this.want = 0;
        return this.#passBlock(bytes, at);
      }
      case 'blocks':
        return this.#passBlock(bytes, at);
      case 'frames':
        return this.#passFrames(bytes, at);
    }
  }

  seconds(): number | null {
    return this.#samplesPerSecond === 0 || this.#samples === 0 ? null : this.#samples / this.#samplesPerSecond;
  }

  #go(state: State, want: number): void {
    this.#state = state;
    this.want = want;
  }

  #passBlock(bytes: Buffer, at: number): number {
    const isLast = (bytes[at]! & LAST_BLOCK) !== 0;
    if (this.want > 0) this.#go(isLast ? 'frames' : 'blocks', isLast ? FRAME_HEAD_BYTES : HEAD_BYTES);
    return HEAD_BYTES + bytes.readUIntBE(at + 1, 3);
  }

  /** Frames do not tell how long they are. What looks like a head is one if its sum is right and its number is the next. */
  #passFrames(bytes: Buffer, from: number): number {
    const last = bytes.length - FRAME_HEAD_BYTES;
    for (let at = bytes.indexOf(0xff, from); at !== -1 && at <= last; at = bytes.indexOf(0xff, at + 1)) {
      if ((bytes[at + 1]! & 0xfe) !== 0xf8) continue;
      const frame = frameAt(bytes, at, this.#samplesPerSecond);
      if (frame === null || frame.number !== this.#next) continue;
      this.#samples += frame.samples;
      this.#next += frame.isNumberOfSample ? frame.samples : 1;
    }
    return last + 1 - from;
  }
}

interface Frame {
  readonly number: number;
  readonly isNumberOfSample: boolean;
  readonly samples: number;
}

function frameAt(bytes: Buffer, at: number, samplesPerSecond: number): Frame | null {
  const isNumberOfSample = (bytes[at + 1]! & 1) === 1;
  const [sizeCode, rateCode] = [bytes[at + 2]! >> 4, bytes[at + 2]! & 0x0f];
  if (sizeCode === 0 || rateCode === 15 || (bytes[at + 3]! & 1) === 1) return null;
  const told = RATES[rateCode];
  if (told !== undefined && told !== 0 && told !== samplesPerSecond) return null;

  // UTF-8, as far as it would go.
  const lead = bytes[at + 4]!;
  const ones = Math.clz32(~(lead << 24));
  if (ones === 1 || ones > 7) return null;
  let number = ones === 0 ? lead : lead & (0x7f >> ones);
  let end = at + 5;
  for (; end < at + 4 + ones; end++) {
    if ((bytes[end]! & 0xc0) !== 0x80) return null;
    number = number * 64 + (bytes[end]! & 0x3f);
  }

  let samples: number;
  if (sizeCode === 6) samples = bytes[end++]! + 1;
  else if (sizeCode === 7) {
    samples = bytes.readUInt16BE(end) + 1;
    end += 2;
  } else samples = sizeCode === 1 ? 192 : sizeCode < 6 ? 576 << (sizeCode - 2) : 256 << (sizeCode - 8);
  if (rateCode === 12) end += 1;
  else if (rateCode > 12) end += 2;
  return sumOf(bytes, at, end) === bytes[end] ? { number, isNumberOfSample, samples } : null;
}

/** CRC-8 of x^8 + x^2 + x + 1. */
function sumOf(bytes: Buffer, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at++) {
    sum ^= bytes[at]!;
    for (let bit = 0; bit < 8; bit++) sum = (sum & 0x80) === 0 ? sum << 1 : ((sum << 1) ^ 0x07) & 0xff;
  }
  return sum;
}
