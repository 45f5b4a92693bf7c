// How long audio lasts, as its first bytes and its size tell. Exact for WAV and PCM, close for MP3, and unknown for others.

/** Kept of the beginning, and of what stands behind an MP3's tags. */
const KEPT_BYTES = 4 * 1024;
/** `response_format: pcm`: 24 kHz, 16 bits, one channel. */
const PCM_BYTES_PER_SECOND = 24_000 * 2;
const WAV_RATE_AT = 28;
const WAV_HEADER_BYTES = 44;
const TAG_HEADER_BYTES = 10;
/** Kilobits per second of MPEG layer III by its index, version 1 and versions 2 and 2.5. */
const RATES_V1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_V2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const SAMPLES_PER_SECOND = [44_100, 48_000, 32_000];

export class AudioLength {
  readonly #type: string;
  readonly #head = new Window();
  /** Begins at the first frame, where tags stand before it. */
  #frames: Window | null = null;
  #bytes = 0;

  /** @param contentType of the audio; empty where its bytes alone tell what it is */
  constructor(contentType: string) {
    this.#type = contentType;
  }

  feed(chunk: Buffer): void {
    this.#head.take(chunk, this.#bytes);
    if (this.#frames === null) {
      const end = tagEnd(this.#head.bytes);
      if (end > 0) this.#frames = new Window(end, this.#head.bytes.subarray(end));
    }
    this.#frames?.take(chunk, this.#bytes);
    this.#bytes += chunk.length;
  }

  /** Null where it cannot be told. */
  seconds(): number | null {
    const head = this.#head.bytes;
    if (this.#bytes === 0) return null;
    if (head.length >= WAV_HEADER_BYTES && head.toString('latin1', 0, 4) === 'RIFF') {
      const rate = head.readUInt32LE(WAV_RATE_AT);
      return rate === 0 ? null : Math.max(0, this.#bytes - WAV_HEADER_BYTES) / rate;
    }
    if (/pcm|l16/i.test(this.#type)) return this.#bytes / PCM_BYTES_PER_SECOND;
    const frames = this.#frames ?? this.#head;
    return secondsOfMp3(frames.bytes, this.#bytes - frames.from);
  }
}

/** Some bytes of a file, from one place on. */
class Window {
  readonly from: number;
  bytes: Buffer;

  constructor(from = 0, bytes: Buffer = Buffer.alloc(0)) {
    this.from = from;
    this.bytes = Buffer.from(bytes);
  }

  /** @param at where the chunk begins in the file */
  take(chunk: Buffer, at: number): void {
    const next = this.from + this.bytes.length;
    const room = KEPT_BYTES - this.bytes.length;
    if (room <= 0 || at > next || at + chunk.length <= next) return;
    this.bytes = Buffer.concat([this.bytes, chunk.subarray(next - at, next - at + room)]);
  }
}

/** Where the tags end that an MP3 begins with; 0 where there are none. Their size has seven bits in each byte. */
function tagEnd(head: Buffer): number {
  if (head.length < TAG_HEADER_BYTES || head.toString('latin1', 0, 3) !== 'ID3') return 0;
  const [a, b, c, d] = [head[6]! & 0x7f, head[7]! & 0x7f, head[8]! & 0x7f, head[9]! & 0x7f];
  return TAG_HEADER_BYTES + (a << 21) + (b << 14) + (c << 7) + d;
}

/** By the number of frames, where the first one tells it; else as if all were like the first. */
function secondsOfMp3(frame: Buffer, bytes: number): number | null {
  const [sync, version, rate, mode] = frame;
  if (sync !== 0xff || version === undefined || rate === undefined || mode === undefined) return null;
  const isLayer3 = (version & 0xe6) === 0xe2;
  const isVersion1 = (version & 0x18) === 0x18;
  const kilobits = (isVersion1 ? RATES_V1 : RATES_V2)[rate >> 4];
  const samples = SAMPLES_PER_SECOND[(rate >> 2) & 3];
  if (!isLayer3 || kilobits === undefined || kilobits === 0 || samples === undefined) return null;
  const isMono = mode >> 6 === 3;
  const sideBytes = isVersion1 ? (isMono ? 17 : 32) : isMono ? 9 : 17;
  const at = 4 + sideBytes;
  const tag = frame.toString('latin1', at, at + 4);
  if ((tag === 'Xing' || tag === 'Info') && frame.length >= at + 12 && (frame.readUInt32BE(at + 4) & 1) === 1) {
    const perSecond = samples / (isVersion1 ? 1 : (version & 0x18) === 0x10 ? 2 : 4);
    return (frame.readUInt32BE(at + 8) * (isVersion1 ? 1152 : 576)) / perSecond;
  }
  return (bytes * 8) / (kilobits * 1000);
}
