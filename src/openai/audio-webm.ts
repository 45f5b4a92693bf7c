// WebM and Matroska: elements in elements. What a browser records does not tell how long it lasts, and its blocks tell when they begin.
import { type Container, lacks } from './audio-walk.ts';

const HEAD_BYTES_MIN = 2;
/** Segment, its information, tracks and one of them, clusters and groups of blocks: what stands in them is read as if beside them. */
const ENTERED = new Set([0x18538067, 0x1549a966, 0x1654ae6b, 0xae, 0x1f43b675, 0xa0]);
const SEGMENT_INFO_SCALE = 0x2ad7b1;
const SEGMENT_INFO_DURATION = 0x4489;
const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const TRACK_TYPE = 0x83;
const TRACK_USUAL_DURATION = 0x23e383;
const CLUSTER_TIME = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK = 0xa1;
const BLOCKS = new Set([SIMPLE_BLOCK, BLOCK]);
const NUMBERS = new Set([
  SEGMENT_INFO_SCALE,
  SEGMENT_INFO_DURATION,
  TRACK_NUMBER,
  TRACK_TYPE,
  TRACK_USUAL_DURATION,
  CLUSTER_TIME,
]);
const NUMBER_BYTES_MAX = 8;
/** Of a block: a track's number, and when it begins after its cluster. */
const BLOCK_HEAD_BYTES = 10;
const SOUND = 2;
const NANOSECONDS = 1e9;

export class WebmFile implements Container {
  want = HEAD_BYTES_MIN;
  #scale = 1_000_000;
  #duration = 0;
  #trackNumber = 0;
  #trackType = 0;
  #trackUsual = 0;
  #sound = 0;
  /** Nanoseconds of a block, where its track tells them. */
  #usual = 0;
  #clusterAt = 0;
  #firstAt = -1;
  #lastAt = -1;
  /** From the last block but one to the last. */
  #step = 0;
  #isLost = false;

  step(bytes: Buffer, at: number): number {
    const idBytes = lengthOf(bytes[at]!);
    if (idBytes > 4) return this.#lose();
    if (lacks(this, bytes, at, idBytes + 1)) return 0;
    const sizeBytes = lengthOf(bytes[at + idBytes]!);
    if (sizeBytes > 8) return this.#lose();
    if (lacks(this, bytes, at, idBytes + sizeBytes)) return 0;
    const id = bytes.readUIntBE(at, idBytes);
    const size = sizeAt(bytes, at + idBytes, sizeBytes);
    const headBytes = idBytes + sizeBytes;
    if (ENTERED.has(id)) {
      if (id === TRACK_ENTRY) this.#trackNumber = this.#trackType = this.#trackUsual = 0;
      this.want = HEAD_BYTES_MIN;
      return headBytes;
    }
    // Only of those above may the end be unknown.
    if (size === null) return this.#lose();
    const isNumber = NUMBERS.has(id);
    if (isNumber && size > NUMBER_BYTES_MAX) return this.#lose();
    const needed = isNumber ? size : BLOCKS.has(id) ? Math.min(size, BLOCK_HEAD_BYTES) : 0;
    if (lacks(this, bytes, at, headBytes + needed)) return 0;
    if (isNumber) this.#readNumber(id, bytes, at + headBytes, size);
    else if (needed > 0) this.#readBlock(bytes.subarray(at + headBytes, at + headBytes + needed));
    this.want = HEAD_BYTES_MIN;
    return headBytes + size;
  }

  #lose(): 0 {
    this.#isLost = true;
    this.want = 0;
    return 0;
  }

  #readNumber(id: number, bytes: Buffer, at: number, size: number): void {
    if (id === SEGMENT_INFO_DURATION) {
      this.#duration = size === 8 ? bytes.readDoubleBE(at) : size === 4 ? bytes.readFloatBE(at) : 0;
      return;
    }
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + bytes[at + i]!;
    if (id === SEGMENT_INFO_SCALE) this.#scale = value;
    else if (id === CLUSTER_TIME) this.#clusterAt = value;
    else if (id === TRACK_NUMBER) this.#trackNumber = value;
    else if (id === TRACK_TYPE) this.#trackType = value;
    else this.#trackUsual = value;
    if (this.#trackType !== SOUND || this.#trackNumber === 0) return;
    if (this.#sound === 0) this.#sound = this.#trackNumber;
    if (this.#sound === this.#trackNumber) this.#usual = this.#trackUsual;
  }

  #readBlock(head: Buffer): void {
    const numberBytes = lengthOf(head[0] ?? 0);
    if (numberBytes + 2 > head.length || sizeAt(head, 0, numberBytes) !== this.#sound) return;
    const at = this.#clusterAt + head.readInt16BE(numberBytes);
    if (this.#firstAt === -1) this.#firstAt = at;
    if (at <= this.#lastAt) return;
    if (this.#lastAt !== -1) this.#step = at - this.#lastAt;
    this.#lastAt = at;
  }

  seconds(): number | null {
    if (this.#isLost) return null;
    if (this.#duration > 0) return (this.#duration * this.#scale) / NANOSECONDS;
    if (this.#lastAt === -1) return null;
    const last = this.#usual > 0 ? this.#usual : this.#step * this.#scale;
    return ((this.#lastAt - this.#firstAt) * this.#scale + last) / NANOSECONDS;
  }
}

/** Its first byte tells how long a number is, by the zeros that it begins with; 9 where it is none. */
function lengthOf(first: number): number {
  return first === 0 ? 9 : Math.clz32(first) - 23;
}

/** Null where it is unknown, and for what no file has. */
function sizeAt(bytes: Buffer, at: number, length: number): number | null {
  let size = bytes[at]! & (0xff >> length);
  let isUnknown = size === 0xff >> length;
  for (let i = 1; i < length; i++) {
    size = size * 256 + bytes[at + i]!;
    isUnknown &&= bytes[at + i] === 0xff;
  }
  return isUnknown || !Number.isSafeInteger(size) ? null : size;
}
