// What a model reads an image as: tiles of 512 pixels and a base, or patches of 32 pixels times a factor, as OpenAI describes it. How
// large an image is stands at the beginning of its own bytes; of one that is elsewhere nobody knows, and it counts as 1024 x 1024.

export interface SeenImage {
  /** The beginning of its `data:` URL; null of one that is elsewhere. */
  readonly dataUrl: string | null;
  /** `low`, `high`, `auto` or `original`; null where it is not said. */
  readonly detail: string | null;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

type Rule =
  | { readonly kind: 'tiles'; readonly base: number; readonly tile: number }
  | { readonly kind: 'patches'; readonly factor: number; readonly patchesMax: number };

const TILES: Rule = { kind: 'tiles', base: 85, tile: 170 };
const patches = (factor: number, patchesMax = 1536): Rule => ({ kind: 'patches', factor, patchesMax });

/** The first that fits. Names that nobody knows yet are taken for models of today. */
const RULES: readonly (readonly [RegExp, Rule])[] = [
  [/^gpt-4o-mini/, { kind: 'tiles', base: 2833, tile: 5667 }],
  [/^gpt-(4\.1|5)-mini/, patches(1.62)],
  [/^gpt-(4\.1|5)-nano/, patches(2.46)],
  [/^o4-mini/, patches(1.72)],
  [/^(o1|o3)/, { kind: 'tiles', base: 75, tile: 150 }],
  [/^computer-use/, { kind: 'tiles', base: 65, tile: 129 }],
  [/^(gpt-4|chatgpt-4o|ft:gpt-4)/, TILES],
  [/^gpt-5(-|\.[0-3]|$)/, { kind: 'tiles', base: 70, tile: 140 }],
];
const TODAY = patches(1.2, 2500);
const ORIGINAL_PATCHES_MAX = 10_000;
const USUAL: Size = { width: 1024, height: 1024 };
const LOW: Size = { width: 512, height: 512 };
const PATCH = 32;
const TILE = 512;
const LONG_SIDE_MAX = 2048;
const SHORT_SIDE_MAX = 768;

export function tokensOfImage({ dataUrl, detail }: SeenImage, model: string): number {
  const rule = RULES.find(([names]) => names.test(model))?.[1] ?? TODAY;
  const size = (dataUrl === null ? null : sizeOf(dataUrl)) ?? USUAL;
  if (rule.kind === 'tiles') return rule.base + (detail === 'low' ? 0 : rule.tile * tilesIn(size));
  const most = detail === 'original' && rule === TODAY ? ORIGINAL_PATCHES_MAX : rule.patchesMax;
  return Math.ceil(patchesIn(detail === 'low' ? shrunk(size, LOW) : size, most) * rule.factor);
}

/** Made to fit into a square of 2048, then so small that the shorter side is 768. */
function tilesIn(size: Size): number {
  const { width, height } = shrunk(size, { width: LONG_SIDE_MAX, height: LONG_SIDE_MAX });
  const share = Math.min(1, SHORT_SIDE_MAX / Math.min(width, height));
  return Math.ceil(Math.round(width * share) / TILE) * Math.ceil(Math.round(height * share) / TILE);
}

function patchesIn({ width, height }: Size, most: number): number {
  const whole = Math.ceil(width / PATCH) * Math.ceil(height / PATCH);
  if (whole <= most) return whole;
  const share = Math.sqrt((PATCH * PATCH * most) / (width * height));
  const [across, down] = [(width * share) / PATCH, (height * share) / PATCH];
  const fit = Math.min(Math.floor(across) / across, Math.floor(down) / down);
  return Math.min(most, Math.ceil(across * fit) * Math.ceil(down * fit));
}

function shrunk({ width, height }: Size, into: Size): Size {
  const share = Math.min(1, into.width / width, into.height / height);
  return { width: width * share, height: height * share };
}

const BASE64 = ';base64,';
/** Pictures have up to 64 KB of other things in front of their size. */
const CHARACTERS_MAX = 128 * 1024;

function sizeOf(dataUrl: string): Size | null {
  const from = dataUrl.indexOf(BASE64);
  if (from === -1) return null;
  const bytes = Buffer.from(dataUrl.slice(from + BASE64.length, from + BASE64.length + CHARACTERS_MAX), 'base64');
  const size = sizeOfPng(bytes) ?? sizeOfGif(bytes) ?? sizeOfWebp(bytes) ?? sizeOfJpeg(bytes);
  return size !== null && size.width > 0 && size.height > 0 ? size : null;
}

function sizeOfPng(bytes: Buffer): Size | null {
  if (bytes.length < 24 || bytes.toString('latin1', 1, 4) !== 'PNG') return null;
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

function sizeOfGif(bytes: Buffer): Size | null {
  if (bytes.length < 10 || bytes.toString('latin1', 0, 4) !== 'GIF8') return null;
  return { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
}

function sizeOfWebp(bytes: Buffer): Size | null {
  if (bytes.length < 30 || bytes.toString('latin1', 8, 12) !== 'WEBP') return null;
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8 ':
      return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
    case 'VP8L': {
      const bits = bytes.readUInt32LE(21);
      return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
    }
    case 'VP8X':
      return { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
    default:
      return null;
  }
}

/** From segment to segment, up to the one that begins the picture. */
function sizeOfJpeg(bytes: Buffer): Size | null {
  if (bytes.length < 4 || bytes.readUInt16BE(0) !== 0xffd8) return null;
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return null;
}
