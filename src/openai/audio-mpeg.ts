// MPEG program streams (.mpeg): packets of sound say when they are to be played.
import { type Container, lacks } from './audio-walk.ts';

const CODE_BYTES = 4;
const HEAD_BYTES = 14;
const PACKET_BYTES = 40;
const PACK = 0xba;
const END = 0xb9;
const PRIVATE = 0xbd;
const TICKS_PER_SECOND = 90_000;

export class MpegStream implements Container {
  want = CODE_BYTES;
  #first = -1;
  #last = -1;
  #packets = 0;
  #isLost = false;

  step(bytes: Buffer, at: number): number {
    const code = bytes[at + 3]!;
    if (bytes.readUIntBE(at, 3) !== 1 || code < END) return this.#stop(true);
    if (code === END) return this.#stop(false);
    if (lacks(this, bytes, at, HEAD_BYTES)) return 0;
    if (code === PACK) {
      this.want = CODE_BYTES;
      // MPEG-2, and MPEG-1.
      return (bytes[at + 4]! & 0xc0) === 0x40 ? HEAD_BYTES + (bytes[at + 13]! & 7) : 12;
    }
    const packetBytes = 6 + bytes.readUInt16BE(at + 4);
    const needed = Math.min(packetBytes, PACKET_BYTES);
    if (lacks(this, bytes, at, needed)) return 0;
    if ((code >= 0xc0 && code <= 0xdf) || code === PRIVATE) this.#readTime(bytes.subarray(at, at + needed));
    this.want = CODE_BYTES;
    return packetBytes;
  }

  #stop(isLost: boolean): 0 {
    this.#isLost = isLost;
    this.want = 0;
    return 0;
  }

  #readTime(packet: Buffer): void {
    const time = timeOf(packet);
    if (time === null || time <= this.#last) return;
    if (this.#first === -1) this.#first = time;
    this.#last = time;
    this.#packets++;
  }

  /** What the last packet lasts is what the others do, in the mean. */
  seconds(): number | null {
    if (this.#isLost || this.#packets < 2) return null;
    const between = this.#packets - 1;
    return ((this.#last - this.#first) * (this.#packets / between)) / TICKS_PER_SECOND;
  }
}

function timeOf(packet: Buffer): number | null {
  let at = 6;
  if ((packet[at]! & 0xc0) === 0x80) {
    const hasTime = (packet[at + 1]! & 0x80) !== 0;
    return hasTime ? ticksAt(packet, at + 3) : null;
  }
  // MPEG-1: filling, and perhaps the size of a buffer.
  while (packet[at] === 0xff) at++;
  if ((packet[at]! & 0xc0) === 0x40) at += 2;
  return (packet[at]! & 0xe0) === 0x20 ? ticksAt(packet, at) : null;
}

/** 33 bits among marks. */
function ticksAt(packet: Buffer, at: number): number | null {
  if (packet.length < at + 5) return null;
  const high = (packet[at]! >> 1) & 7;
  const middle = packet.readUInt16BE(at + 1) >> 1;
  return high * 2 ** 30 + middle * 2 ** 15 + (packet.readUInt16BE(at + 3) >> 1);
}
