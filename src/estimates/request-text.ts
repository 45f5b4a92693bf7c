// What of a request's body a model reads as text: messages, instructions, prompts, tools. Of a body that is cut off, what can be
// made out.
import type { SeenImage } from './image-tokens.ts';

export interface RequestText {
  readonly texts: readonly string[];
  readonly messages: number;
  readonly images: readonly SeenImage[];
  /** Of prompts that are tokens already. */
  readonly tokens: number;
  /** Of the body, as far as it is text: 1 where all was here. */
  readonly seenShare: number;
}

interface Gathering {
  texts: string[];
  messages: number;
  images: SeenImage[];
  tokens: number;
}

/** Members that models read. */
const READ = ['instructions', 'prompt', 'messages', 'input'];
/** Their JSON is about what the model reads of them. */
const READ_AS_JSON = ['tools', 'functions', 'response_format', 'text'];
/** Members within a message that name things and are not read. */
const UNREAD = new Set(['id', 'type', 'role', 'call_id', 'tool_call_id', 'file_id', 'item_id', 'status', 'detail']);
const IMAGES = new Set(['image_url', 'input_image', 'computer_screenshot']);
const DEPTH_MAX = 16;

export function readRequest(head: Buffer, bodyBytes: number): RequestText {
  if (head.length >= bodyBytes) {
    try {
      return { ...readWhole(JSON.parse(head.toString('utf8'))), seenShare: 1 };
    } catch {
      // Not JSON: read like one that is cut off.
    }
  }
  return readBeginning(head, bodyBytes);
}

function readWhole(body: unknown): Gathering {
  const gathering: Gathering = { texts: [], messages: 0, images: [], tokens: 0 };
  if (typeof body !== 'object' || body === null) return gathering;
  for (const [name, value] of Object.entries(body)) {
    if (READ.includes(name)) gather(value, gathering, 0);
    else if (READ_AS_JSON.includes(name) && typeof value === 'object') gathering.texts.push(JSON.stringify(value));
  }
  return gathering;
}

function gather(value: unknown, into: Gathering, depth: number): void {
  if (typeof value === 'string') into.texts.push(value);
  else if (typeof value === 'number') into.tokens++;
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return;
  if (Array.isArray(value)) {
    for (const each of value) gather(each, into, depth + 1);
    return;
  }
  if ('type' in value && typeof value.type === 'string' && IMAGES.has(value.type)) {
    into.images.push(imageIn(value));
    return;
  }
  if ('role' in value) into.messages++;
  for (const [name, each] of Object.entries(value)) {
    if (!UNREAD.has(name) && !isEncoded(each)) gather(each, into, depth + 1);
  }
}

/** `image_url` is a URL, or an object that has one. */
function imageIn(part: object): SeenImage {
  const named = 'image_url' in part ? part.image_url : null;
  const within = typeof named === 'object' && named !== null ? named : part;
  const url = typeof named === 'string' ? named : 'url' in within ? within.url : null;
  const detail = 'detail' in within ? within.detail : null;
  return { dataUrl: isEncoded(url) ? (url as string) : null, detail: typeof detail === 'string' ? detail : null };
}

function isEncoded(value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('data:');
}

/** Values of the members above. */
const NAMES =
  /^(user|assistant|system|developer|tool|text|input_text|output_text|function|message|image_url|input_image|computer_screenshot)$/;
const ROLE = /"role"\s*:/g;
const IMAGE = /"(image_url|input_image|computer_screenshot)"\s*,/g;
const LOW = /"detail"\s*:\s*"low"/g;

function readBeginning(head: Buffer, bodyBytes: number): RequestText {
  const json = head.toString('utf8');
  const texts: string[] = [];
  const dataUrls: string[] = [];
  let isInImage = false;
  for (let open = json.indexOf('"'); open !== -1;) {
    const end = endOfString(json, open);
    const raw = json.slice(open + 1, end === -1 ? undefined : end - 1);
    // The text in whose middle the beginning ends may be an image: behind it, more text at this rate is not to be expected.
    isInImage = end === -1 && raw.startsWith('data:');
    if (raw.startsWith('data:image')) dataUrls.push(raw.replaceAll('\\/', '/'));
    if (!isKey(json, end) && raw !== '' && !NAMES.test(raw) && !raw.startsWith('data:')) texts.push(unescaped(raw));
    open = end === -1 ? -1 : json.indexOf('"', end);
  }
  return {
    texts,
    messages: json.match(ROLE)?.length ?? 0,
    images: imagesIn(json, dataUrls),
    tokens: 0,
    seenShare: isInImage ? 1 : Math.min(1, head.length / bodyBytes),
  };
}

/** Which of them is looked at closely is not told of each. */
function imagesIn(json: string, dataUrls: readonly string[]): SeenImage[] {
  const length = Math.max(dataUrls.length, json.match(IMAGE)?.length ?? 0);
  const low = json.match(LOW)?.length ?? 0;
  return Array.from({ length }, (_, i) => ({ dataUrl: dataUrls[i] ?? null, detail: i < low ? 'low' : null }));
}

/** Behind the closing quote; -1 where there is none. By hand: a pattern would look for it from each quote anew. */
function endOfString(json: string, open: number): number {
  for (let at = open + 1; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at + 1;
  }
  return -1;
}

function isKey(json: string, end: number): boolean {
  return end !== -1 && /^\s{0,16}:/.test(json.slice(end, end + 17));
}

function unescaped(raw: string): string {
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}
