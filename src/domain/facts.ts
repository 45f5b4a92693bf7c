// What is learnt from copies of requests and replies as they go by. Whoever reads never changes a byte, and what could not be read is null.
import type { InputFile, WorkOnFile } from './input-file.ts';

/** Told by a request's body, as far as it was seen. */
export interface RequestFacts {
  readonly model: string | null;
  /** The body came to its end and was read to it. */
  readonly isWhole: boolean;
  /** Neither compressed nor of a form that is not read: what is not found in a whole one is not there. */
  readonly isReadable: boolean;
  /** A member that decides something, such as `model`, stands twice: parsers differ on which one counts. */
  readonly hasDuplicates: boolean;
  readonly isStream: boolean;
  /** `stream_options.include_usage` is asked for. */
  readonly wantsUsage: boolean;
  readonly isBackground: boolean;
  /** `store`: whether the upstream is to keep what it made; null where the request leaves that open. */
  readonly isStored: boolean | null;
  /** `max_completion_tokens`, `max_output_tokens` or `max_tokens`. */
  readonly maxOutputTokens: number | null;
  /** How many replies or images are made: `n`, or `best_of` where that is more, for each of several prompts. */
  readonly count: number | null;
  readonly serviceTier: string | null;
  /** `safety_identifier`, or else `user`. */
  readonly endUser: string | null;
  readonly maxToolCalls: number | null;
  /** Types of the hosted tools that are offered, such as `web_search` or `code_interpreter`. */
  readonly tools: readonly string[];
  readonly promptCacheRetention: string | null;
  /** Of an image or a video. */
  readonly size: string | null;
  readonly quality: string | null;
  readonly seconds: number | null;
  /** More may be read than the body's own text: an earlier response, a stored prompt, a file, a picture. */
  readonly hasInputElsewhere: boolean;
  /** Unicode code points of a speech's `input`. */
  readonly inputCharacters: number | null;
  /** How long an uploaded recording lasts, as far as its container tells it; null where nobody asked, or it does not. */
  readonly audioSeconds: number | null;
  /** What an uploaded file of lines asks for; absent or null of anything else, and until it has come to its end. */
  readonly inputFile?: InputFile | null;
  /** The file that work is to be started on; absent or null where none is named. */
  readonly work?: WorkOnFile | null;
  /** Bytes of the body as far as it was seen; the announced length where it is known. */
  readonly bodyBytes: number;
}

/** Told by a reply, or by one turn of a socket. */
export interface ReplyFacts {
  /** Each usage object that counts, in order: one in nearly all replies, one for each image in a stream of images, none where unseen. */
  readonly usages: readonly unknown[];
  readonly model: string | null;
  readonly serviceTier: string | null;
  /** Of the object that the reply is: `resp_...`, `batch_...`. */
  readonly id: string | null;
  readonly object: string | null;
  readonly status: string | null;
  /** Finished calls of hosted tools by kind; a web search counts where its action is a search. */
  readonly toolCalls: Readonly<Partial<Record<HostedTool, number>>>;
  /** What making images by tool used, at the prices of another model; null where no tool made one, or none is told of. */
  readonly imageTool: { readonly model: string | null; readonly usage: unknown } | null;
  /** Ids of containers that code ran in. */
  readonly containers: readonly string[];
  /** Elements of `data`, such as images. */
  readonly dataCount: number | null;
  /** Seconds: `duration` of a verbose transcription; how long the speech lasts that the reply is; how far a translation came. */
  readonly durationSeconds: number | null;
  /** Of an image or a video. */
  readonly size: string | null;
  readonly quality: string | null;
  /** Of a container, such as `4g`. */
  readonly memoryLimit: string | null;
  /** For how long what it wrote to the prompt cache is kept at least, such as `30m`. */
  readonly cacheTtl: string | null;
  /** Text that the model wrote, at most a bound: for estimates, and empty where usage is reported. */
  readonly outputText: string;
  /** UTF-8 bytes of all text seen; beyond a bound, reckoned from what was read of it. */
  readonly outputTextBytes: number;
}

/** Of a request that asks for nothing in particular: one without a body. */
export const NOTHING_ASKED: RequestFacts = {
  model: null,
  isWhole: true,
  isReadable: true,
  hasDuplicates: false,
  isStream: false,
  wantsUsage: false,
  isBackground: false,
  isStored: null,
  maxOutputTokens: null,
  count: null,
  serviceTier: null,
  endUser: null,
  maxToolCalls: null,
  tools: [],
  promptCacheRetention: null,
  size: null,
  quality: null,
  seconds: null,
  hasInputElsewhere: false,
  inputCharacters: null,
  audioSeconds: null,
  bodyBytes: 0,
};

/** Of a reply that was not read, or not seen. */
export const NOTHING_SEEN: ReplyFacts = {
  usages: [],
  model: null,
  serviceTier: null,
  id: null,
  object: null,
  status: null,
  toolCalls: {},
  imageTool: null,
  containers: [],
  dataCount: null,
  durationSeconds: null,
  size: null,
  quality: null,
  memoryLimit: null,
  cacheTtl: null,
  outputText: '',
  outputTextBytes: 0,
};

export type HostedTool = 'web_search' | 'web_search_preview' | 'file_search' | 'code_interpreter' | 'image_generation';
