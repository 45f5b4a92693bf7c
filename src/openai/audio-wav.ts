// WAV: chunks, of which one tells the rate and one is the sound.
import { type Container, lacks, tagAt } from './audio-walk.ts';

const RIFF_BYTES = 12;
const HEAD_BYTES = 8;
const FORMAT_BYTES = 16;
const RATE_AT = 8;
/** Who writes as it goes cannot know how long it will be. */
const UNKNOWN_SIZES = new Set([0, 0x7fffffff, 0xffffffff]);

export class WavFile implements Container {
  want = RIFF_BYTES;
  #at = 0;
  #bytesPerSecond = 0;
  #soundAt = -1;
  #soundBytes = 0;

  step(bytes: Buffer, at: number): number {
    const used = this.#read(bytes, at);
    this.#at += used;
    return used;
  }

  #read(bytes: Buffer, at: number): number {
    if (this.#at === 0) {
      this.want = HEAD_BYTES;
      return RIFF_BYTES;
    }
    const [tag, size] = [tagAt(bytes, at), bytes.readUInt32LE(at + 4)];
    if (tag === 'data') {
      this.want = 0;
      this.#soundAt = this.#at + HEAD_BYTES;
      this.#soundBytes = size;
      return HEAD_BYTES;
    }
    if (tag === 'fmt ' && size >= FORMAT_BYTES) {
      if (lacks(this, bytes, at, HEAD_BYTES + FORMAT_BYTES)) return 0;
      this.#bytesPerSecond = bytes.readUInt32LE(at + HEAD_BYTES + RATE_AT);
    }
    this.want = HEAD_BYTES;
    return HEAD_BYTES + size + (size % 2);
  }

  seconds(bytes: number): number | null {
    if (this.#soundAt === -1 || this.#bytesPerSecond === 0) return null;
    const here = Math.max(0, bytes - this.#soundAt);
    const told = UNKNOWN_SIZES.has(this.#soundBytes) ? here : this.#soundBytes;
    return Math.min(here, told) / this.#bytesPerSecond;
  }
}
