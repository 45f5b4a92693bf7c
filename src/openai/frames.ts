// Which models a client names in a text frame on a WebSocket: in `response.create` of the Responses API, in sessions of the realtime
// API. Frames that name none, such as audio, are told by a search for the word alone.

const WORD = Buffer.from('model');
/** `mod\u0065l` is the same word. */
const ESCAPE = Buffer.from('\\u');
/** Members of a frame that lead to a model, from its top. */
const PATHS: readonly (readonly string[])[] = [
  ['model'],
  ['response', 'model'],
  ['session', 'model'],
  ['session', 'audio', 'input', 'transcription', 'model'],
  ['session', 'input_audio_transcription', 'model'],
  ['input_audio_transcription', 'model'],
];
const NAMES = new Set(['type', ...PATHS.flat()]);

/** `unreadable`: no JSON, a member on the way to a model twice, or a model that is no text. Then nobody can say which one is meant. */
export function findModelsInFrame(frame: Buffer): readonly string[] | 'unreadable' {
  if (!frame.includes(WORD) && !frame.includes(ESCAPE)) return [];
  const text = frame.toString('utf8');
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch {
    return 'unreadable';
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return [];
  if (namesTwice(text)) return 'unreadable';
  const models: string[] = [];
  for (const path of PATHS) {
    const model = member(event, path);
    if (model === undefined || model === null) continue;
    if (typeof model !== 'string') return 'unreadable';
    if (!models.includes(model)) models.push(model);
  }
  return models;
}

function member(event: unknown, path: readonly string[]): unknown {
  let found = event;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined;
    // Any object can be asked for any name.
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** @param text valid JSON */
function namesTwice(text: string): boolean {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
      case 0x5b: // [
        open.push(new Set());
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        break;
      case 0x22: {
        const end = endOfString(text, at);
        if (isKey(text, end)) {
          const name = JSON.parse(text.slice(at, end)) as string;
          const names = open.at(-1)!;
          if (names.has(name)) return true;
          if (NAMES.has(name)) names.add(name);
        }
        at = end - 1;
      }
    }
  }
  return false;
}

function isKey(text: string, at: number): boolean {
  while (/\s/.test(text.charAt(at)) && at < text.length) at++;
  return text.charAt(at) === ':';
}

/** Behind its closing quote. */
function endOfString(text: string, open: number): number {
  for (let at = open + 1; ; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at + 1;
  }
}
