// How long audio lasts, told by its own container as it goes by: WAV, MP3, AAC, FLAC, Ogg, MP4, WebM, MPEG, and bare PCM. What is none
// of these, or is broken, has no length here.
import { FlacFile } from './audio-flac.ts';
import { adtsAudio, isAdts, mpegAudio } from './audio-frames.ts';
import { Mp4File } from './audio-mp4.ts';
import { MpegStream } from './audio-mpeg.ts';
import { OggFile } from './audio-ogg.ts';
import { AudioWalk, type Container, tagAt } from './audio-walk.ts';
import { WavFile } from './audio-wav.ts';
import { WebmFile } from './audio-webm.ts';

/** `response_format: pcm`: 24 kHz, 16 bits, one channel. */
const PCM_BYTES_PER_SECOND = 24_000 * 2;
const PCM = /pcm|l16/i;

export class AudioLength {
  readonly #isPcm: boolean;
  readonly #walk = new AudioWalk(new AudioFile());
  #bytes = 0;

  /** @param contentType of the audio; empty where its bytes alone tell what it is */
  constructor(contentType: string) {
    this.#isPcm = PCM.test(contentType);
  }

  feed(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#walk.feed(chunk);
  }

  /** Null where it cannot be told. */
  seconds(): number | null {
    if (this.#bytes === 0) return null;
    return this.#isPcm ? this.#bytes / PCM_BYTES_PER_SECOND : this.#walk.seconds(this.#bytes);
  }
}

/** Enough of any container to know it. */
const FIRST_BYTES = 12;
const TAGS_HEAD_BYTES = 10;
const MP4_BOXES = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot']);

/** Becomes the container that its first bytes tell, behind the tags that may stand before them. */
class AudioFile implements Container {
  #known: Container | null = null;
  #want = FIRST_BYTES;
  #at = 0;

  get want(): number {
    return this.#known?.want ?? this.#want;
  }

  step(bytes: Buffer, at: number): number {
    if (this.#known !== null) return this.#known.step(bytes, at);
    if (bytes.toString('latin1', at, at + 3) === 'ID3') {
      const tagBytes = TAGS_HEAD_BYTES + sevenBits(bytes, at + 6);
      this.#at += tagBytes;
      return tagBytes;
    }
    this.#known = containerOf(bytes, at, this.#at);
    if (this.#known === null) this.#want = 0;
    return 0;
  }

  seconds(bytes: number): number | null {
    return this.#known?.seconds(bytes) ?? null;
  }
}

/** The size of tags has seven bits in each byte. */
function sevenBits(bytes: Buffer, at: number): number {
  let size = 0;
  for (let i = 0; i < 4; i++) size = size * 128 + (bytes[at + i]! & 0x7f);
  return size;
}

function containerOf(bytes: Buffer, at: number, from: number): Container | null {
  switch (tagAt(bytes, at)) {
    case 'RIFF':
    case 'RF64':
      return tagAt(bytes, at + 8) === 'WAVE' ? new WavFile() : null;
    case 'OggS':
      return new OggFile();
    case 'fLaC':
      return new FlacFile();
    case '\x1aE\xdf\xa3':
      return new WebmFile();
    case '\0\0\x01\xba':
      return new MpegStream();
  }
  if (MP4_BOXES.has(tagAt(bytes, at + 4))) return new Mp4File();
  if (bytes[at] !== 0xff) return null;
  return isAdts(bytes[at], bytes[at + 1]!) ? adtsAudio(from) : mpegAudio(from);
}
