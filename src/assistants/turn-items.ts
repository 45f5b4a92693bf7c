// The output items of a turn, each as the step, and the message or tool call, that callers see of it.
import type {
  Attachment,
  Message,
  MessageContent,
  MessageIncompleteReason,
  UnixSeconds,
} from '../domain/assistants.ts';
import type { ObjectPrefix } from '../domain/id.ts';
import type {
  CodeInterpreterCall,
  FileSearchCall,
  FileSearchResult,
  FunctionCall,
  PendingCall,
  Run,
  RunStep,
  StepDetails,
  ToolCall,
  Usage,
} from '../domain/run.ts';
import { type CitedFiles, CitedText, type TextPiece } from './citations.ts';
import type { ItemOp } from './responses-events.ts';
import type { Searches } from './searches.ts';
import type { Told } from './told.ts';
import { type JsonObject, numberIn, objectsIn, stringIn } from './upstream-json.ts';

/** What a turn needs to know of the world, and nothing that it would have to wait for. */
export interface TurnScene {
  readonly run: Run;
  readonly turn: number;
  now(): UnixSeconds;
  newId<P extends ObjectPrefix>(prefix: P): `${P}${string}`;
  readonly searches: Searches;
  readonly products: TurnProducts;
}

/** What the code interpreter left and the gateway kept, as far as it is kept by now. */
export interface TurnProducts {
  /** Our id of a file in the container; null where it was not kept. */
  keptFile(containerFileId: string): string | null;
  /** Images of one call, for its step. */
  imagesOf(callId: string): readonly string[];
  /** Images that no message showed yet; each is given once. */
  takeImages(): readonly string[];
}

/** How something open is closed when its turn stops early. */
export interface TurnStop {
  readonly message: MessageIncompleteReason;
  readonly step: 'failed' | 'cancelled' | 'expired' | 'completed';
  readonly error: RunStep['lastError'];
}

export const NO_USAGE: Usage = {
  prompt_tokens: 0,
  completion_tokens: 0,
  total_tokens: 0,
  prompt_token_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
};

function newStep(scene: TurnScene, outIx: number, details: StepDetails): RunStep {
  const { teamId, threadId, id: runId, assistantId } = scene.run;
  return {
    teamId,
    threadId,
    runId,
    assistantId,
    id: scene.newId('step_'),
    createdAt: scene.now(),
    status: 'in_progress',
    details,
    lastError: null,
    expiredAt: null,
    cancelledAt: null,
    failedAt: null,
    completedAt: null,
    metadata: {},
    usage: null,
    origin: { turn: scene.turn, outIx },
    extra: {},
  };
}

export function completedStep(step: RunStep, usage: Usage, at: UnixSeconds): RunStep {
  return { ...step, status: 'completed', completedAt: at, usage };
}

export function stoppedStep(step: RunStep, { step: status, error }: TurnStop, at: UnixSeconds): RunStep {
  switch (status) {
    case 'completed':
      return completedStep(step, step.usage ?? NO_USAGE, at);
    case 'failed':
      return { ...step, status, failedAt: at, lastError: error, usage: step.usage ?? NO_USAGE };
    case 'cancelled':
      return { ...step, status, cancelledAt: at, usage: step.usage ?? NO_USAGE };
    case 'expired':
      return { ...step, status, expiredAt: at, usage: step.usage ?? NO_USAGE };
  }
}

function beginStep(told: Told, step: RunStep): void {
  told.step('created', step);
  told.step('in_progress', step);
}

function tellCall(told: Told, step: RunStep, call: unknown): void {
  const delta = { step_details: { type: 'tool_calls', tool_calls: [call] } };
  told.events.push({ event: 'thread.run.step.delta', id: step.id, delta });
}

type Part =
  | { readonly type: 'text'; readonly text: CitedText; isTold: boolean }
  | { readonly type: 'refusal'; refusal: string }
  | { readonly type: 'image'; readonly fileId: string };

/** A message of the model, under a step of its own. */
export class MessageItem {
  readonly step: RunStep;
  readonly #scene: TurnScene;
  readonly #files: CitedFiles;
  #message: Message;
  readonly #parts: Part[] = [];
  /** From the upstream's index of a part to ours: images may stand before it. */
  readonly #places = new Map<number, number>();
  /** Parts that readers were told of. */
  #placesKept = 0;

  constructor(scene: TurnScene, outIx: number, item: JsonObject | null, told: Told) {
    this.#scene = scene;
    this.#files = {
      foundIn: (fileId) => scene.searches.foundIn(fileId),
      keptFile: (fileId) => scene.products.keptFile(fileId),
      ownMarkers: scene.searches.ownMarkers,
    };
    const { teamId, threadId, id: runId, assistantId } = scene.run;
    this.#message = {
      teamId,
      threadId,
      id: scene.newId('msg_'),
      createdAt: scene.now(),
      status: 'in_progress',
      incompleteReason: null,
      completedAt: null,
      incompleteAt: null,
      role: 'assistant',
      content: [],
      attachments: [],
      metadata: {},
      assistantId,
      runId,
      origin: { turn: scene.turn, outIx },
      markers: [],
      ...phaseOf(item),
      extra: {},
    };
    this.step = newStep(scene, outIx, {
      type: 'message_creation',
      message_creation: { message_id: this.#message.id },
    });
    beginStep(told, this.step);
    told.message('created', this.#message);
    told.message('in_progress', this.#message);
    this.#showImages(told);
  }

  get message(): Message {
    return this.#message;
  }

  /** The model goes on to speak after this one, or to call a tool. */
  get isCommentary(): boolean {
    return isCommentary(this.#message);
  }

  apply(op: ItemOp, told: Told): void {
    switch (op.type) {
      case 'text':
        this.#append(op.part, op.delta, told);
        break;
      case 'refusal':
        this.#refuse(op.part, op.delta, told);
        break;
      case 'annotation': {
        const place = this.#textPlace(op.part);
        if (place !== null) this.#tellText(place.index, place.text.cite(op.annotation), told);
        break;
      }
      case 'part_done':
        this.#reconcile(op.part, op.content, told);
        break;
      case 'done':
        for (const [index, content] of objectsIn(op.item, 'content').entries()) this.#reconcile(index, content, told);
        this.#message = { ...this.#message, ...phaseOf(op.item) };
        break;
    }
  }

  complete(told: Told): void {
    this.#finishParts(told);
    this.#showImages(told);
    this.#message = { ...this.#message, ...this.#shown(), status: 'completed', completedAt: this.#scene.now() };
    told.message('completed', this.#message);
  }

  stop({ message: reason }: TurnStop, told: Told): void {
    this.#finishParts(told);
    this.#message = {
      ...this.#message,
      ...this.#shown(),
      status: 'incomplete',
      incompleteReason: reason,
      incompleteAt: this.#scene.now(),
    };
    told.message('incomplete', this.#message);
  }

  #append(part: number, delta: string, told: Told): void {
    const place = delta === '' ? null : this.#textPlace(part);
    if (place !== null) this.#tellText(place.index, place.text.append(delta), told);
  }

  #refuse(part: number, delta: string, told: Told): void {
    if (delta === '') return;
    let index = this.#places.get(part);
    if (index === undefined) {
      index = this.#parts.push({ type: 'refusal', refusal: '' }) - 1;
      this.#places.set(part, index);
    }
    const refusal = this.#parts[index];
    if (refusal?.type !== 'refusal') return;
    refusal.refusal += delta;
    this.#tell(told, { index, type: 'refusal', refusal: delta });
  }

  /** What deltas left out, or all of it. A text that contradicts its deltas is not believed: clients have those already. */
  #reconcile(part: number, content: JsonObject, told: Told): void {
    if (content['type'] === 'refusal') {
      const known = this.#parts[this.#places.get(part) ?? -1];
      const before = known?.type === 'refusal' ? known.refusal : '';
      const whole = stringIn(content, 'refusal') ?? '';
      if (whole.startsWith(before)) this.#refuse(part, whole.slice(before.length), told);
      return;
    }
    if (content['type'] !== 'output_text') return;
    const place = this.#textPlace(part);
    if (place === null) return;
    // Places first, so that the rest of the text finds them: its citations then stand exactly where they belong.
    for (const annotation of objectsIn(content, 'annotations'))
      this.#tellText(place.index, place.text.cite(annotation), told);
    const whole = stringIn(content, 'text') ?? '';
    const { source } = place.text;
    if (whole.startsWith(source)) this.#tellText(place.index, place.text.append(whole.slice(source.length)), told);
  }

  /** Null where the upstream made another kind of part at this index. */
  #textPlace(part: number): { readonly index: number; readonly text: CitedText } | null {
    const known = this.#places.get(part);
    if (known !== undefined) {
      const at = this.#parts[known];
      return at?.type === 'text' ? { index: known, text: at.text } : null;
    }
    const text = new CitedText(this.#files);
    const index = this.#parts.push({ type: 'text', text, isTold: false }) - 1;
    this.#places.set(part, index);
    return { index, text };
  }

  #tellText(index: number, pieces: readonly TextPiece[], told: Told): void {
    for (const piece of pieces) {
      if (piece.type === 'value') this.#tellValue(index, piece.value, told);
      else this.#tell(told, { index, type: 'text', text: { annotations: [{ index: piece.at, ...piece.annotation }] } });
    }
  }

  /** The first word of a part brings its empty list of annotations along. */
  #tellValue(index: number, value: string, told: Told): void {
    const part = this.#parts[index];
    const isFirst = part?.type === 'text' && !part.isTold;
    if (isFirst) part.isTold = true;
    this.#tell(told, { index, type: 'text', text: isFirst ? { value, annotations: [] } : { value } });
  }

  #tell(told: Told, content: JsonObject & { readonly index: number }): void {
    this.#keepPlace(content.index, told);
    told.events.push({ event: 'thread.message.delta', id: this.#message.id, delta: { content: [content] } });
  }

  /** An empty text at the beginning is what a message that broke off has anyway. */
  #keepPlace(index: number, told: Told): void {
    if (index < this.#placesKept) return;
    this.#placesKept = index + 1;
    if (index === 0 && this.#parts[0]?.type === 'text') return;
    told.beginPart({ ...this.#message, content: this.#parts.slice(0, index + 1).map(emptyPart) });
  }

  #showImages(told: Told): void {
    for (const fileId of this.#scene.products.takeImages()) {
      const index = this.#parts.push({ type: 'image', fileId }) - 1;
      this.#tell(told, { index, type: 'image_file', image_file: { file_id: fileId } });
    }
  }

  #finishParts(told: Told): void {
    for (const [index, part] of this.#parts.entries()) {
      if (part.type !== 'text') continue;
      this.#tellText(index, part.text.finish(), told);
      if (!part.isTold) this.#tellValue(index, '', told);
    }
  }

  #shown(): Pick<Message, 'content' | 'attachments' | 'markers'> {
    const content: MessageContent[] = [];
    const attachments: Attachment[] = [];
    const markers: [number, number, number][] = [];
    for (const [index, part] of this.#parts.entries()) {
      content.push(shownPart(part));
      if (part.type !== 'text') continue;
      for (const fileId of part.text.unplacedFiles) {
        attachments.push({ file_id: fileId, tools: [{ type: 'code_interpreter' }] });
      }
      for (const [start, end] of part.text.markers) markers.push([index, start, end]);
    }
    return { content, attachments, markers };
  }
}

/** Whether the model means a message as its answer: kept, for it must be shown its messages with the phase that it gave them. */
function phaseOf(item: JsonObject | null): { readonly phase?: string } {
  const phase = stringIn(item, 'phase');
  return phase === null ? {} : { phase };
}

export function isCommentary(message: Message): boolean {
  return message.phase === 'commentary';
}

function shownPart(part: Part): MessageContent {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: { value: part.text.value, annotations: part.text.annotations } };
    case 'refusal':
      return { type: 'refusal', refusal: part.refusal };
    case 'image':
      return { type: 'image_file', image_file: { file_id: part.fileId } };
  }
}

/** What is left of a part whose words nobody knows any more. */
function emptyPart(part: Part): MessageContent {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: { value: '', annotations: [] } };
    case 'refusal':
      return { type: 'refusal', refusal: '' };
    case 'image':
      return shownPart(part);
  }
}

/** All function calls of a turn stand in one step, which stays open until their outputs are handed in. */
export class FunctionStep {
  readonly step: RunStep;
  readonly calls: FunctionCall[] = [];

  constructor(scene: TurnScene, outIx: number, told: Told) {
    this.step = newStep(scene, outIx, { type: 'tool_calls', tool_calls: [] });
    beginStep(told, this.step);
  }

  withCalls(usage: Usage | null): RunStep {
    return { ...this.step, details: { type: 'tool_calls', tool_calls: this.calls }, usage };
  }

  pending(): readonly PendingCall[] {
    return this.calls.map(({ id, type, function: { name, arguments: text } }) => ({
      id,
      type,
      function: { name, arguments: text },
    }));
  }
}

export class FunctionItem {
  readonly #scene: TurnScene;
  readonly #step: FunctionStep;
  readonly #index: number;
  #callId: string | null = null;
  #name: string | null = null;
  #arguments = '';
  /** Clients know of the call; before its name has come they cannot. */
  #isTold = false;

  constructor(scene: TurnScene, step: FunctionStep) {
    this.#scene = scene;
    this.#step = step;
    this.#index = step.calls.length;
  }

  apply(op: ItemOp, told: Told): void {
    if (op.type === 'begun' || op.type === 'done') {
      this.#callId ??= stringIn(op.item, 'call_id') || null;
      this.#name ??= stringIn(op.item, 'name') || null;
    }
    if (op.type === 'done') {
      const whole = stringIn(op.item, 'arguments') ?? '';
      if (whole.startsWith(this.#arguments)) this.#grow(whole.slice(this.#arguments.length), told);
    }
    if (op.type === 'arguments') this.#grow(op.delta, told);
  }

  /** The item as the history keeps it. Null for a call that never got a name: nobody could answer it. */
  complete(told: Told): ({ readonly type: 'function_call' } & JsonObject) | null {
    if (this.#name === null) return null;
    this.#tell(told);
    this.#step.calls.push(this.#call());
    const { id, function: called } = this.#call();
    return { type: 'function_call', call_id: id, name: called.name, arguments: called.arguments };
  }

  #call(): FunctionCall {
    this.#callId ??= this.#scene.newId('call_');
    return {
      id: this.#callId,
      type: 'function',
      function: { name: this.#name ?? '', arguments: this.#arguments, output: null },
    };
  }

  #grow(delta: string, told: Told): void {
    this.#arguments += delta;
    if (this.#name === null) return;
    if (!this.#isTold) this.#tell(told);
    else if (delta !== '') tellCall(told, this.#step.step, this.#piece(delta));
  }

  #tell(told: Told): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const { id, type, function: called } = this.#call();
    const empty = { index: this.#index, id, type, function: { ...called, arguments: '' } };
    tellCall(told, this.#step.step, empty);
    if (this.#arguments !== '') tellCall(told, this.#step.step, this.#piece(this.#arguments));
  }

  #piece(text: string) {
    return { index: this.#index, type: 'function', function: { arguments: text } };
  }
}

/** A call of a tool that the upstream runs itself, under a step of its own. */
export interface HostedItem {
  readonly step: RunStep;
  apply(op: ItemOp, told: Told): void;
  /** The step as it is in the end, still in progress. */
  complete(told: Told): RunStep;
}

export class CodeItem implements HostedItem {
  readonly step: RunStep;
  readonly #scene: TurnScene;
  readonly #id: string;
  #code = '';
  #done: JsonObject | null = null;

  constructor(scene: TurnScene, outIx: number, told: Told) {
    this.#scene = scene;
    this.#id = scene.newId('call_');
    this.step = newStep(scene, outIx, { type: 'tool_calls', tool_calls: [] });
    beginStep(told, this.step);
    const empty = { index: 0, id: this.#id, type: 'code_interpreter', code_interpreter: { input: '', outputs: [] } };
    tellCall(told, this.step, empty);
  }

  apply(op: ItemOp, told: Told): void {
    if (op.type === 'code') this.#grow(op.delta, told);
    if (op.type !== 'done') return;
    this.#done = op.item;
    const whole = stringIn(op.item, 'code') ?? '';
    if (whole.startsWith(this.#code)) this.#grow(whole.slice(this.#code.length), told);
  }

  complete(told: Told): RunStep {
    const outputs = this.#outputs();
    if (outputs.length > 0) {
      const numbered = outputs.map((output, index) => ({ index, ...output }));
      tellCall(told, this.step, { index: 0, type: 'code_interpreter', code_interpreter: { outputs: numbered } });
    }
    const call: CodeInterpreterCall = {
      id: this.#id,
      type: 'code_interpreter',
      code_interpreter: { input: this.#code, outputs },
    };
    return withCall(this.step, call);
  }

  #outputs(): CodeInterpreterCall['code_interpreter']['outputs'] {
    const logs = objectsIn(this.#done, 'outputs')
      .filter((output) => output['type'] === 'logs')
      .map((output) => ({ type: 'logs', logs: stringIn(output, 'logs') ?? '' }) as const);
    const images = this.#scene.products
      .imagesOf(stringIn(this.#done, 'id') ?? '')
      .map((fileId) => ({ type: 'image', image: { file_id: fileId } }) as const);
    return [...logs, ...images];
  }

  #grow(delta: string, told: Told): void {
    if (delta === '') return;
    this.#code += delta;
    tellCall(told, this.step, { index: 0, type: 'code_interpreter', code_interpreter: { input: delta } });
  }
}

export class SearchItem implements HostedItem {
  readonly step: RunStep;
  readonly #scene: TurnScene;
  readonly #id: string;
  #results: readonly FileSearchResult[] = [];

  constructor(scene: TurnScene, outIx: number, told: Told) {
    this.#scene = scene;
    this.#id = scene.newId('call_');
    this.step = newStep(scene, outIx, { type: 'tool_calls', tool_calls: [] });
    beginStep(told, this.step);
    tellCall(told, this.step, { index: 0, id: this.#id, type: 'file_search', file_search: {} });
  }

  apply(op: ItemOp): void {
    if (op.type === 'done') this.#results = objectsIn(op.item, 'results').map(searchResult);
  }

  complete(): RunStep {
    this.#scene.searches.add(this.#results.map((result) => result.file_id));
    const call: FileSearchCall = {
      id: this.#id,
      type: 'file_search',
      file_search: { ranking_options: rankingOf(this.#scene.run), results: this.#results },
    };
    return withCall(this.step, call);
  }
}

function withCall(step: RunStep, call: ToolCall): RunStep {
  return { ...step, details: { type: 'tool_calls', tool_calls: [call] } };
}

function searchResult(result: JsonObject): FileSearchResult {
  const text = stringIn(result, 'text');
  return {
    file_id: stringIn(result, 'file_id') ?? '',
    file_name: stringIn(result, 'filename') ?? '',
    score: numberIn(result, 'score') ?? 0,
    ...(text !== null && { content: [{ type: 'text', text }] }),
  };
}

/** What the step shows of how the search ranked: as the run's tool asked for, or the default of the live API. */
function rankingOf({ spec }: Run): NonNullable<FileSearchCall['file_search']['ranking_options']> {
  const tool = spec.tools.find((candidate) => candidate.type === 'file_search');
  const asked = tool?.type === 'file_search' ? tool.file_search?.ranking_options : undefined;
  return { ranker: asked?.ranker ?? 'default_2024_08_21', score_threshold: asked?.score_threshold ?? 0 };
}
