// One turn: what the model streams, as steps and messages in the one order that every client accepts. A pure state machine: it
// is given signals, and answers with what to tell. One output item is open at a time; what comes early waits for its turn.
import type { NewHistoryItem, PendingCall, RunStep, Usage } from '../domain/run.ts';
import { type ItemKind, type ItemOp, type ItemSignal, type ResponseEnd, itemKind } from './responses-events.ts';
import { Told } from './told.ts';
import {
  CodeItem,
  FunctionItem,
  FunctionStep,
  type HostedItem,
  MessageItem,
  NO_USAGE,
  SearchItem,
  type TurnScene,
  type TurnStop,
  completedStep,
  stoppedStep,
} from './turn-items.ts';
import { type JsonObject, stringIn } from './upstream-json.ts';

/** How a turn came out, with the last of what there is to tell of it. */
export interface TurnOutcome {
  readonly told: Told;
  readonly usage: Usage | null;
  readonly status: 'completed' | 'requires_action' | 'continues' | 'cut' | 'filtered';
  /** Empty but for `requires_action`. */
  readonly pendingCalls: readonly PendingCall[];
}

type OpenItem =
  | { readonly kind: 'message'; readonly item: MessageItem; readonly isLater: boolean }
  | { readonly kind: 'hosted'; readonly item: HostedItem; readonly isLater: boolean; done: JsonObject | null }
  | { readonly kind: 'function_call'; readonly item: FunctionItem }
  | { readonly kind: 'silent'; done: JsonObject | null };

/** What is known of one place in the output. */
interface Place {
  kind: ItemKind;
  isClosed: boolean;
  readonly waiting: ItemOp[];
}

const CUT: TurnStop = { message: 'max_tokens', step: 'completed', error: null };

export class Translation {
  readonly #scene: TurnScene;
  readonly #places = new Map<number, Place>();
  #current: { readonly outIx: number; readonly open: OpenItem } | null = null;
  #told = new Told();
  /** The last step that is done but for its usage, which comes with the end of the response. */
  #heldStep: RunStep | null = null;
  #functions: FunctionStep | null = null;
  /** What came behind a function call: told when its outputs are in, for its step stays open until then. */
  readonly #later = new Told();
  /** Reasoning and calls, until what follows them makes them worth keeping. */
  #heldItems: NewHistoryItem[] = [];
  #hasBegun = false;
  #lastClosed: 'answer' | 'other' | null = null;

  constructor(scene: TurnScene) {
    this.#scene = scene;
  }

  /** Has anything come that callers were told of? */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Is something open that callers were told of, or are about to be? */
  get isOpen(): boolean {
    return this.#functions !== null || (this.#current !== null && this.#current.open.kind !== 'silent');
  }

  /** The model's last word is complete, although the end of the response may be missing. */
  get isAnswered(): boolean {
    return this.#current === null && this.#functions === null && this.#lastClosed === 'answer';
  }

  feed({ outIx, kind, op }: ItemSignal): Told {
    const place = this.#placeOf(outIx, kind);
    if (!place.isClosed) {
      if (this.#current === null || this.#current.outIx === outIx) this.#apply(outIx, place, op);
      else place.waiting.push(op);
      this.#catchUp();
    }
    return this.#take();
  }

  /** The response is over, in whichever way; `failed` and a broken stream go through `stop`. */
  end(end: ResponseEnd): TurnOutcome {
    const isCut = end.status === 'incomplete';
    for (const [outIx, item] of end.output.entries()) {
      const place = this.#placeOf(outIx, itemKind(item));
      if (place.isClosed) continue;
      place.waiting.push({ type: 'done', item });
    }
    this.#catchUp();
    while (this.#current !== null && !(isCut && this.#isLast(this.#current.outIx))) {
      this.#close();
      this.#catchUp();
    }
    if (isCut) return this.#cut(end);
    return this.#complete(end);
  }

  /** Closes what is open, for a turn that stops before its response does. */
  stop(stop: TurnStop): Told {
    this.#finishHeldStep(NO_USAGE);
    this.#stopOpen(stop, null);
    this.#stopFunctions(stop, null);
    this.#tellLater();
    return this.#take();
  }

  #placeOf(outIx: number, kind: ItemKind): Place {
    let place = this.#places.get(outIx);
    if (place === undefined) this.#places.set(outIx, (place = { kind, isClosed: false, waiting: [] }));
    else if (place.kind === 'other') place.kind = kind;
    return place;
  }

  #isLast(outIx: number): boolean {
    return outIx === Math.max(...this.#places.keys());
  }

  /** What waited is applied in the order of the output, as long as nothing else is open. */
  #catchUp(): void {
    for (;;) {
      const outIx = this.#current?.outIx ?? this.#nextWaiting();
      const place = outIx === null ? undefined : this.#places.get(outIx);
      const op = place?.waiting.shift();
      if (outIx === null || place === undefined || op === undefined) return;
      this.#apply(outIx, place, op);
    }
  }

  #nextWaiting(): number | null {
    let next: number | null = null;
    for (const [outIx, { isClosed, waiting }] of this.#places) {
      if (!isClosed && waiting.length > 0 && (next === null || outIx < next)) next = outIx;
    }
    return next;
  }

  #apply(outIx: number, place: Place, op: ItemOp): void {
    const open = (this.#current ??= { outIx, open: this.#open(outIx, place.kind, op) }).open;
    switch (open.kind) {
      case 'message':
        open.item.apply(op, this.#out(open.isLater));
        break;
      case 'hosted':
        open.item.apply(op, this.#out(open.isLater));
        if (op.type === 'done') open.done = op.item;
        break;
      case 'function_call':
        open.item.apply(op, this.#told);
        break;
      case 'silent':
        if (op.type === 'done') open.done = op.item;
        break;
    }
    // A message or call that the limit cut off is done and yet not complete: the end of the response decides.
    if (op.type === 'done' && stringIn(op.item, 'status') !== 'incomplete') this.#close();
  }

  #open(outIx: number, kind: ItemKind, op: ItemOp): OpenItem {
    const item = op.type === 'begun' || op.type === 'done' ? op.item : null;
    if (kind === 'reasoning' || kind === 'other') return { kind: 'silent', done: null };
    this.#hasBegun = true;
    this.#finishHeldStep(NO_USAGE);
    if (kind === 'function_call') {
      this.#functions ??= new FunctionStep(this.#scene, outIx, this.#told);
      return { kind, item: new FunctionItem(this.#scene, this.#functions) };
    }
    const isLater = this.#functions !== null;
    const told = this.#out(isLater);
    if (kind === 'message') return { kind, item: new MessageItem(this.#scene, outIx, item, told), isLater };
    const hosted =
      kind === 'code_interpreter_call'
        ? new CodeItem(this.#scene, outIx, told)
        : new SearchItem(this.#scene, outIx, told);
    return { kind: 'hosted', item: hosted, isLater, done: null };
  }

  /** The current item is complete. */
  #close(): void {
    if (this.#current === null) return;
    const { outIx, open } = this.#current;
    this.#current = null;
    const place = this.#places.get(outIx);
    if (place !== undefined) place.isClosed = true;
    const origin = { turn: this.#scene.turn, outIx };
    switch (open.kind) {
      case 'message':
        open.item.complete(this.#out(open.isLater));
        this.#keep({ ...origin, kind: 'message', messageId: open.item.message.id });
        this.#holdStep(open.item.step, open.isLater);
        this.#lastClosed = open.item.isCommentary ? 'other' : 'answer';
        break;
      case 'hosted': {
        const step = open.item.complete(this.#out(open.isLater));
        const payload = open.done === null ? null : replayable(open.done);
        if (payload !== null) this.#keep({ ...origin, kind: 'call', payload });
        this.#holdStep(step, open.isLater);
        this.#lastClosed = 'other';
        break;
      }
      case 'function_call': {
        const payload = open.item.complete(this.#told);
        if (payload !== null) this.#heldItems.push({ ...origin, kind: 'call', payload });
        this.#lastClosed = 'other';
        break;
      }
      case 'silent': {
        const payload = open.done === null ? null : replayable(open.done);
        if (payload !== null) this.#heldItems.push({ ...origin, kind: 'call', payload });
        break;
      }
    }
  }

  /** Into the history, behind the reasoning that led to it; behind a function call it waits with that. */
  #keep(item: NewHistoryItem): void {
    this.#heldItems.push(item);
    if (this.#functions === null) this.#told.items.push(...this.#heldItems.splice(0));
  }

  #out(isLater: boolean): Told {
    return isLater ? this.#later : this.#told;
  }

  #holdStep(step: RunStep, isLater: boolean): void {
    // Behind a function call the usage is the function step's: nothing waits for it.
    if (isLater) this.#later.step('completed', completedStep(step, NO_USAGE, this.#scene.now()));
    else this.#told.keepStep((this.#heldStep = step));
  }

  #finishHeldStep(usage: Usage): void {
    if (this.#heldStep === null) return;
    this.#told.step('completed', completedStep(this.#heldStep, usage, this.#scene.now()));
    this.#heldStep = null;
  }

  #complete({ usage, continues }: ResponseEnd): TurnOutcome {
    const functions = this.#functions;
    if (functions === null || functions.calls.length === 0) {
      this.#finishHeldStep(usage ?? NO_USAGE);
      this.#stopFunctions(CUT, usage);
      return { told: this.#take(), usage, status: continues ? 'continues' : 'completed', pendingCalls: [] };
    }
    this.#told.keepStep(functions.withCalls(usage ?? NO_USAGE));
    this.#told.addRows(this.#later);
    this.#told.items.push(...this.#heldItems.splice(0));
    return { told: this.#take(), usage, status: 'requires_action', pendingCalls: functions.pending() };
  }

  #cut({ usage, incompleteReason }: ResponseEnd): TurnOutcome {
    const isFiltered = incompleteReason === 'content_filter';
    const error = { code: 'server_error', message: CONTENT_FILTERED } as const;
    const stop: TurnStop = isFiltered ? { message: 'content_filter', step: 'failed', error } : CUT;
    const isLastStep = this.#functions === null && (this.#current === null || this.#current.open.kind === 'silent');
    this.#finishHeldStep(isLastStep ? (usage ?? NO_USAGE) : NO_USAGE);
    this.#stopOpen(stop, usage);
    this.#stopFunctions(stop, usage);
    this.#tellLater();
    return { told: this.#take(), usage, status: isFiltered ? 'filtered' : 'cut', pendingCalls: [] };
  }

  #stopOpen(stop: TurnStop, usage: Usage | null): void {
    if (this.#current === null) return;
    const { outIx, open } = this.#current;
    this.#current = null;
    if (open.kind === 'message') {
      open.item.stop(stop, this.#out(open.isLater));
      // What callers saw of the model's answer the model is shown again, but not what is to be said anew.
      const isShown = stop.message !== 'run_failed' && stop.message !== 'content_filter';
      const { id, content } = open.item.message;
      if (isShown && content.length > 0) this.#keep({ turn: this.#scene.turn, outIx, kind: 'message', messageId: id });
    }
    if (open.kind === 'message' || open.kind === 'hosted') {
      const step = stoppedStep({ ...open.item.step, usage }, stop, this.#scene.now());
      this.#out(open.isLater).step(step.status, step);
    }
  }

  #stopFunctions(stop: TurnStop, usage: Usage | null): void {
    if (this.#functions === null) return;
    const step = stoppedStep(this.#functions.withCalls(usage), stop, this.#scene.now());
    this.#told.step(step.status, step);
    this.#functions = null;
  }

  /** What waited for outputs that will never come. The calls themselves leave nothing for the model to see. */
  #tellLater(): void {
    this.#told.add(this.#later);
    this.#told.items.push(...this.#heldItems.splice(0).filter((item) => item.kind === 'message'));
  }

  #take(): Told {
    const told = this.#told;
    this.#told = new Told();
    return told;
  }
}

export const CONTENT_FILTERED = "The model's answer was stopped by the upstream's content filter.";

/** An output item as the model may be shown it again; null for one that only the upstream's own memory could explain. */
function replayable(item: JsonObject): ({ readonly type: string } & JsonObject) | null {
  const type = stringIn(item, 'type');
  switch (type) {
    case 'reasoning': {
      // Without its encrypted content a reasoning item is a mere id, and ids are unknown where nothing is stored.
      const { id, summary, encrypted_content: encrypted } = item;
      return typeof encrypted === 'string' ? { type, id, summary: summary ?? [], encrypted_content: encrypted } : null;
    }
    case 'code_interpreter_call':
    case 'file_search_call':
      return { ...item, type };
    default:
      return null;
  }
}
