// How long audio lasts, as its first bytes and its size tell. Exact for WAV and PCM, close for MP3, and unknown for others.

/** An MP3's first frame begins behind its tags. */
const HEAD_BYTES = 4 * 1024;
/** `response_format: pcm`: 24 kHz, 16 bits, one channel. */
const PCM_BYTES_PER_SECOND = 24_000 * 2;
const WAV_RATE_AT = 28;
const WAV_HEADER_BYTES = 44;
/** Kilobits per second of MPEG layer III by its index, version 1 and versions 2 and 2.5. */
const RATES_V1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_V2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

export class AudioLength {
  readonly #type: string;
  #head: Buffer = Buffer.alloc(0);
  #bytes = 0;

  /** @param contentType of the audio */
  constructor(contentType: string) {
    this.#type = contentType;
  }

  feed(chunk: Buffer): void {
    const room = HEAD_BYTES - this.#head.length;
    if (room > 0) this.#head = Buffer.concat([this.#head, chunk.subarray(0, room)]);
    this.#bytes += chunk.length;
  }

  /** Null where it cannot be told. */
  seconds(): number | null {
    const head = this.#head;
    if (this.#bytes === 0) return null;
    if (head.length >= WAV_HEADER_BYTES && head.toString('latin1', 0, 4) === 'RIFF') {
      const rate = head.readUInt32LE(WAV_RATE_AT);
      return rate === 0 ? null : Math.max(0, this.#bytes - WAV_HEADER_BYTES) / rate;
    }
    if (/pcm|l16/i.test(this.#type)) return this.#bytes / PCM_BYTES_PER_SECOND;
    const rate = bitRateOfMp3(head);
    return rate === null ? null : (this.#bytes * 8) / rate;
  }
}

/** Bits per second, as the first frame has it. */
function bitRateOfMp3(head: Buffer): number | null {
  let at = 0;
  if (head.toString('latin1', 0, 3) === 'ID3' && head.length >= 10) {
    // Its size has seven bits in each byte.
    at = 10 + ((head[6]! & 0x7f) << 21) + ((head[7]! & 0x7f) << 14) + ((head[8]! & 0x7f) << 7) + (head[9]! & 0x7f);
  }
  const [sync, version, rate] = [head[at], head[at + 1], head[at + 2]];
  if (sync !== 0xff || version === undefined || rate === undefined) return null;
  const isLayer3 = (version & 0xe6) === 0xe2;
  const kilobits = ((version & 0x18) === 0x18 ? RATES_V1 : RATES_V2)[rate >> 4];
  return isLayer3 && kilobits !== undefined && kilobits > 0 ? kilobits * 1000 : null;
}
