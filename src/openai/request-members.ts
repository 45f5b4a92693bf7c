// The members of a request that decide something, whether it is JSON or a form, and what was found of them.
import type { RequestFacts } from '../domain/facts.ts';

export const MODEL = 0;
export const STREAM = 1;
export const STREAM_OPTIONS = 2;
export const MAX_COMPLETION_TOKENS = 3;
export const MAX_OUTPUT_TOKENS = 4;
export const MAX_TOKENS = 5;
export const COUNT = 6;
export const SERVICE_TIER = 7;
export const SAFETY_IDENTIFIER = 8;
export const USER = 9;
export const BACKGROUND = 10;
export const MAX_TOOL_CALLS = 11;
export const TOOLS = 12;
export const PROMPT_CACHE_RETENTION = 13;
export const SIZE = 14;
export const QUALITY = 15;
export const SECONDS = 16;
export const STREAM_FORMAT = 17;
export const INPUT = 18;
export const SESSION = 19;
export const PREVIOUS_RESPONSE = 20;
export const CONVERSATION = 21;
export const PROMPT = 22;
export const BEST_OF = 23;
export const PROMPT_CACHE_OPTIONS = 24;
export const STORE = 25;

export type Slot = number;
export const NO_SLOT: Slot = -1;

export const SLOTS: ReadonlyMap<string, Slot> = new Map([
  ['model', MODEL],
  ['stream', STREAM],
  ['stream_options', STREAM_OPTIONS],
  ['max_completion_tokens', MAX_COMPLETION_TOKENS],
  ['max_output_tokens', MAX_OUTPUT_TOKENS],
  ['max_tokens', MAX_TOKENS],
  ['n', COUNT],
  ['service_tier', SERVICE_TIER],
  ['safety_identifier', SAFETY_IDENTIFIER],
  ['user', USER],
  ['background', BACKGROUND],
  ['max_tool_calls', MAX_TOOL_CALLS],
  ['tools', TOOLS],
  ['prompt_cache_retention', PROMPT_CACHE_RETENTION],
  ['size', SIZE],
  ['quality', QUALITY],
  ['seconds', SECONDS],
  ['stream_format', STREAM_FORMAT],
  ['input', INPUT],
  ['session', SESSION],
  ['previous_response_id', PREVIOUS_RESPONSE],
  ['conversation', CONVERSATION],
  ['prompt', PROMPT],
  ['best_of', BEST_OF],
  ['prompt_cache_options', PROMPT_CACHE_OPTIONS],
  ['store', STORE],
]);

/** A longer text is not believed to be one of these. */
export const TEXT_CHARACTERS_MAX = 1024;
/** Distinct kinds of tools that are remembered. */
const TOOLS_MAX = 32;
/** Run by the client, so they cost nothing of their own. */
const CLIENT_TOOLS = new Set(['function', 'custom']);

/** Null stands for a value of another kind: an object, an array, or a text that is too long. */
export type MemberValue = string | number | boolean | null;

export class Members {
  hasDuplicates = false;
  model: string | null = null;
  /** Of `session`, where sessions of the realtime API name theirs. */
  sessionModel: string | null = null;
  /** `ttl` of `prompt_cache_options`, which came after `prompt_cache_retention`. */
  cacheTtl: string | null = null;
  isStream = false;
  wantsUsage = false;
  #isSpeechStream = false;
  #isBackground = false;
  #isStored: boolean | null = null;
  #maxCompletionTokens: number | null = null;
  #maxOutputTokens: number | null = null;
  #maxTokens: number | null = null;
  #count: number | null = null;
  #serviceTier: string | null = null;
  #safetyIdentifier: string | null = null;
  #user: string | null = null;
  #maxToolCalls: number | null = null;
  #tools: string[] | null = null;
  #promptCacheRetention: string | null = null;
  #size: string | null = null;
  #quality: string | null = null;
  #seconds: number | null = null;
  #inputCharacters: number | null = null;
  audioSeconds: number | null = null;
  #bestOf: number | null = null;
  #prompts = 0;
  #hasInputElsewhere = false;
  #seen = 0;

  /** A member begins. Where it stands twice, the last one counts, as most parsers have it. */
  begin(slot: Slot): void {
    const bit = 1 << slot;
    if ((this.#seen & bit) !== 0) this.hasDuplicates = true;
    this.#seen |= bit;
    if (slot === STREAM_OPTIONS) this.wantsUsage = false;
    else if (slot === TOOLS) this.#tools = null;
    else if (slot === SESSION) this.sessionModel = null;
    else if (slot === PROMPT_CACHE_OPTIONS) this.cacheTtl = null;
    else if (slot === PROMPT) this.#prompts = 0;
  }

  hasSeen(slot: Slot): boolean {
    return (this.#seen & (1 << slot)) !== 0;
  }

  take(slot: Slot, value: MemberValue): void {
    switch (slot) {
      case MODEL:
        this.model = text(value);
        break;
      case STREAM:
        this.isStream = value === true;
        break;
      case MAX_COMPLETION_TOKENS:
        this.#maxCompletionTokens = whole(value);
        break;
      case MAX_OUTPUT_TOKENS:
        this.#maxOutputTokens = whole(value);
        break;
      case MAX_TOKENS:
        this.#maxTokens = whole(value);
        break;
      case COUNT:
        this.#count = whole(value);
        break;
      case SERVICE_TIER:
        this.#serviceTier = text(value);
        break;
      case SAFETY_IDENTIFIER:
        this.#safetyIdentifier = text(value);
        break;
      case USER:
        this.#user = text(value);
        break;
      case BACKGROUND:
        this.#isBackground = value === true;
        break;
      case STORE:
        this.#isStored = typeof value === 'boolean' ? value : null;
        break;
      case MAX_TOOL_CALLS:
        this.#maxToolCalls = whole(value);
        break;
      case PROMPT_CACHE_RETENTION:
        this.#promptCacheRetention = text(value);
        break;
      case SIZE:
        this.#size = text(value);
        break;
      case QUALITY:
        this.#quality = text(value);
        break;
      case SECONDS:
        this.#seconds = seconds(value);
        break;
      case STREAM_FORMAT:
        this.#isSpeechStream = value === 'sse';
        break;
      case INPUT:
        this.#inputCharacters = typeof value === 'string' ? codePoints(value) : null;
        break;
      case PREVIOUS_RESPONSE:
      case CONVERSATION:
        this.#hasInputElsewhere ||= typeof value === 'string';
        break;
      case BEST_OF:
        this.#bestOf = whole(value);
        break;
    }
  }

  /** An object or an array. A `prompt` that is an object, and a conversation, are stored upstream. */
  takeNested(slot: Slot, isObject: boolean): void {
    this.take(slot, null);
    this.#hasInputElsewhere ||= isObject && (slot === PROMPT || slot === CONVERSATION);
  }

  /** One of several. */
  addPrompt(): void {
    this.#prompts++;
  }

  noteInputElsewhere(): void {
    this.#hasInputElsewhere = true;
  }

  /** The type of one of the `tools`. */
  takeTool(type: MemberValue): void {
    if (typeof type !== 'string' || CLIENT_TOOLS.has(type)) return;
    const tools = (this.#tools ??= []);
    if (tools.length < TOOLS_MAX && !tools.includes(type)) tools.push(type);
  }

  facts(seen: Pick<RequestFacts, 'isWhole' | 'isReadable' | 'hasDuplicates' | 'bodyBytes'>): RequestFacts {
    const { model, sessionModel } = this;
    return {
      ...seen,
      // What was found in a body before it became unreadable may not be what its reader finds.
      model: seen.isReadable ? (model ?? sessionModel) : null,
      // Which of the two counts is the endpoint's to say.
      hasDuplicates: seen.hasDuplicates || (model !== null && sessionModel !== null && model !== sessionModel),
      isStream: this.isStream || this.#isSpeechStream,
      wantsUsage: this.wantsUsage,
      isBackground: this.#isBackground,
      isStored: this.#isStored,
      maxOutputTokens: this.#maxCompletionTokens ?? this.#maxOutputTokens ?? this.#maxTokens,
      count: this.#replies(),
      serviceTier: this.#serviceTier,
      endUser: this.#safetyIdentifier ?? this.#user,
      maxToolCalls: this.#maxToolCalls,
      tools: this.#tools ?? NO_TOOLS,
      promptCacheRetention: this.cacheTtl ?? this.#promptCacheRetention,
      size: this.#size,
      quality: this.#quality,
      seconds: this.#seconds,
      hasInputElsewhere: this.#hasInputElsewhere,
      inputCharacters: this.#inputCharacters,
      audioSeconds: this.audioSeconds,
    };
  }

  /** For each of the prompts. */
  #replies(): number | null {
    const each = this.#bestOf !== null && this.#bestOf > (this.#count ?? 1) ? this.#bestOf : this.#count;
    return this.#prompts > 1 ? (each ?? 1) * this.#prompts : each;
  }
}

const NO_TOOLS: readonly string[] = [];

function text(value: MemberValue): string | null {
  return typeof value === 'string' && value.length <= TEXT_CHARACTERS_MAX ? value : null;
}

function whole(value: MemberValue): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** Of a video: a number, or the same as text. */
function seconds(value: MemberValue): number | null {
  if (typeof value === 'string' && /^\d{1,9}(\.\d{1,9})?$/.test(value)) return Number(value);
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

function codePoints(value: string): number {
  let count = value.length;
  for (let at = 0; at + 1 < value.length; at++) {
    if ((value.charCodeAt(at) & 0xfc00) !== 0xd800 || (value.charCodeAt(at + 1) & 0xfc00) !== 0xdc00) continue;
    count--;
    at++;
  }
  return count;
}
