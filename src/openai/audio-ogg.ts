// Ogg: pages, each of which tells how many samples have been played by its end. Opus, Vorbis, FLAC and Speex within.
import { type Container, lacks, tagAt } from './audio-walk.ts';

const HEAD_BYTES = 27;
/** Of the first packet of a stream, which says what it is. */
const FIRST_PACKET_BYTES = 40;
const OPUS_RATE = 48_000;

interface Stream {
  readonly serial: number;
  readonly samplesPerSecond: number;
  /** That are decoded, and not played. */
  readonly skipped: number;
}

export class OggFile implements Container {
  want = HEAD_BYTES;
  #stream: Stream | null = null;
  /** Samples up to the end of the last page. */
  #position = 0;
  /** Of streams that ended before this one. */
  #secondsBefore = 0;
  #isAmongFirst = true;
  #isLost = false;

  step(bytes: Buffer, at: number): number {
    if (tagAt(bytes, at) !== 'OggS') {
      this.#isLost = true;
      this.want = 0;
      return 0;
    }
    const segments = bytes[at + 26]!;
    const headBytes = HEAD_BYTES + segments;
    const isFirst = (bytes[at + 5]! & 2) !== 0;
    if (lacks(this, bytes, at, headBytes)) return 0;
    let bodyBytes = 0;
    for (let i = 0; i < segments; i++) bodyBytes += bytes[at + HEAD_BYTES + i]!;
    if (isFirst) {
      const packetBytes = Math.min(bodyBytes, FIRST_PACKET_BYTES);
      if (lacks(this, bytes, at, headBytes + packetBytes)) return 0;
      this.#begin(bytes.readUInt32LE(at + 14), bytes.subarray(at + headBytes, at + headBytes + packetBytes));
    } else {
      this.#isAmongFirst = false;
      const position = bytes.readBigInt64LE(at + 6);
      // -1: no packet ends on this page.
      if (bytes.readUInt32LE(at + 14) === this.#stream?.serial && position >= 0n)
        this.#position = Math.max(this.#position, Number(position));
    }
    this.want = HEAD_BYTES;
    return headBytes + bodyBytes;
  }

  /** First pages stand together. Where one comes later, a new stream follows the one that ended. */
  #begin(serial: number, packet: Buffer): void {
    if (!this.#isAmongFirst) {
      this.#secondsBefore += this.#secondsOfStream() ?? 0;
      this.#stream = null;
      this.#position = 0;
      this.#isAmongFirst = true;
    }
    this.#stream ??= streamOf(serial, packet);
  }

  seconds(): number | null {
    const seconds = this.#isLost ? null : this.#secondsOfStream();
    return seconds === null ? null : this.#secondsBefore + seconds;
  }

  #secondsOfStream(): number | null {
    if (this.#stream === null) return null;
    return Math.max(0, this.#position - this.#stream.skipped) / this.#stream.samplesPerSecond;
  }
}

/** Null for pictures and texts. */
function streamOf(serial: number, packet: Buffer): Stream | null {
  const names = packet.toString('latin1', 0, 8);
  const known = (samplesPerSecond: number, skipped = 0) =>
    samplesPerSecond === 0 ? null : { serial, samplesPerSecond, skipped };
  if (names === 'OpusHead' && packet.length >= 12) return known(OPUS_RATE, packet.readUInt16LE(10));
  if (names.startsWith('\x01vorbis') && packet.length >= 16) return known(packet.readUInt32LE(12));
  if (names.startsWith('\x7fFLAC') && packet.length >= 30) return known(packet.readUIntBE(27, 3) >> 4);
  if (names === 'Speex   ' && packet.length >= 40) return known(packet.readUInt32LE(36));
  return null;
}
