// MPEG audio (MP3, and layers I and II as in .mpga) and AAC as ADTS: frames, each of which tells where the next one begins.
import { type Container, tagAt } from './audio-walk.ts';

interface Frame {
  readonly bytes: number;
  readonly samples: number;
  readonly samplesPerSecond: number;
  /** What a frame has in common with all others of its file. */
  readonly kind: number;
  /** 0 where frames do not tell. */
  readonly bitsPerSecond: number;
}

type FrameOf = (bytes: Buffer, at: number) => Frame | null;

/** What stands behind the last frame. */
const TAGS_BEHIND = new Set(['TAG', 'APE', 'LYR', 'ID3']);

class FrameFile implements Container {
  want: number;
  readonly #frameOf: FrameOf;
  /** Where the first frame begins. */
  readonly #from: number;
  readonly #headBytes: number;
  #first: Frame | null = null;
  #samples = 0;
  #isLost = false;
  #told: number | null = null;

  constructor(frameOf: FrameOf, from: number, headBytes: number, firstBytes: number) {
    this.#frameOf = frameOf;
    this.#from = from;
    this.#headBytes = headBytes;
    this.want = firstBytes;
  }

  step(bytes: Buffer, at: number): number {
    const frame = this.#frameOf(bytes, at);
    if (frame === null || (this.#first !== null && frame.kind !== this.#first.kind)) {
      this.#isLost = !TAGS_BEHIND.has(tagAt(bytes, at).slice(0, 3));
      this.want = 0;
      return 0;
    }
    if (this.#first === null) {
      this.#first = frame;
      const frames = frame.bitsPerSecond === 0 ? null : framesTold(bytes, at);
      if (frames !== null) {
        this.#told = (frames * frame.samples) / frame.samplesPerSecond;
        this.want = 0;
        return 0;
      }
    }
    this.#samples += frame.samples;
    this.want = this.#headBytes;
    return frame.bytes;
  }

  seconds(bytes: number): number | null {
    if (this.#told !== null || this.#first === null) return this.#told;
    const { samplesPerSecond, bitsPerSecond } = this.#first;
    if (!this.#isLost) return this.#samples / samplesPerSecond;
    // As if all were like the first.
    return bitsPerSecond === 0 ? null : ((bytes - this.#from) * 8) / bitsPerSecond;
  }
}

const MPEG_HEAD_BYTES = 4;
/** With the tag that tells how many frames there are. */
const MPEG_FIRST_BYTES = 64;
const ADTS_HEAD_BYTES = 7;

export function mpegAudio(from: number): Container {
  return new FrameFile(mpegFrame, from, MPEG_HEAD_BYTES, MPEG_FIRST_BYTES);
}

export function adtsAudio(from: number): Container {
  return new FrameFile(adtsFrame, from, ADTS_HEAD_BYTES, ADTS_HEAD_BYTES);
}

/** Kilobits per second by index: layers I, II and III of version 1; layer I, and II and III, of versions 2 and 2.5. */
const KILOBITS: readonly (readonly number[])[] = [
  [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const MPEG_RATES = [44_100, 48_000, 32_000];

function mpegFrame(bytes: Buffer, at: number): Frame | null {
  const [sync, second, third] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!];
  const version = (second >> 3) & 3;
  const layer = 4 - ((second >> 1) & 3);
  const rate = MPEG_RATES[(third >> 2) & 3];
  if (sync !== 0xff || second < 0xe0 || version === 1 || layer === 4 || rate === undefined) return null;
  const isVersion1 = version === 3;
  const kilobits = KILOBITS[isVersion1 ? layer - 1 : layer === 1 ? 3 : 4]![third >> 4];
  if (kilobits === undefined || kilobits === 0) return null;
  const samplesPerSecond = rate / (isVersion1 ? 1 : version === 2 ? 2 : 4);
  const samples = layer === 1 ? 384 : layer === 3 && !isVersion1 ? 576 : 1152;
  const padding = (third >> 1) & 1;
  const slot = layer === 1 ? 4 : 1;
  return {
    bytes: (Math.floor((samples * kilobits * 125) / slot / samplesPerSecond) + padding) * slot,
    samples,
    samplesPerSecond,
    // Its version, layer and rate.
    kind: ((second & 0x1e) << 8) | (third & 0x0c),
    bitsPerSecond: kilobits * 1000,
  };
}

/** In the first frame of files whose frames differ in size, as LAME and Fraunhofer write it. */
function framesTold(bytes: Buffer, at: number): number | null {
  const isVersion1 = (bytes[at + 1]! & 0x18) === 0x18;
  const isMono = bytes[at + 3]! >> 6 === 3;
  const xingAt = at + MPEG_HEAD_BYTES + (isVersion1 ? (isMono ? 17 : 32) : isMono ? 9 : 17);
  const xing = tagAt(bytes, xingAt);
  if ((xing === 'Xing' || xing === 'Info') && (bytes.readUInt32BE(xingAt + 4) & 1) === 1)
    return bytes.readUInt32BE(xingAt + 8);
  const vbriAt = at + MPEG_HEAD_BYTES + 32;
  return tagAt(bytes, vbriAt) === 'VBRI' ? bytes.readUInt32BE(vbriAt + 14) : null;
}

const ADTS_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

function adtsFrame(bytes: Buffer, at: number): Frame | null {
  const [sync, second, third] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!];
  const samplesPerSecond = ADTS_RATES[(third >> 2) & 15];
  const length = ((bytes[at + 3]! & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5);
  if (!isAdts(sync, second) || samplesPerSecond === undefined || length < ADTS_HEAD_BYTES) return null;
  const samples = 1024 * ((bytes[at + 6]! & 3) + 1);
  return { bytes: length, samples, samplesPerSecond, kind: third & 0x3c, bitsPerSecond: 0 };
}

/** MPEG audio has a layer where this has none. */
export function isAdts(sync: number, second: number): boolean {
  return sync === 0xff && (second & 0xf6) === 0xf0;
}
