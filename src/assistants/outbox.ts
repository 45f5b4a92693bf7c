// What a worker has to tell and has not told yet. Objects go to the store, and from there to whoever reads; deltas go by to who
// listens now. What nobody waits for is kept together, so that a short answer costs one transaction.
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { Thread } from '../domain/assistants.ts';
import type { Lease, RunChange, RunEvent } from '../domain/run.ts';
import { type Delta, joinDeltas } from './deltas.ts';
import type { Channel } from './run-channel.ts';
import { Told, isDelta } from './told.ts';

/** The run is another worker's now, or is no more. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

export class Outbox {
  readonly #store: Pick<AssistantStore, 'commit'>;
  readonly #lease: Lease;
  readonly #channel: Channel;
  readonly #onWritten: () => void;
  /** Of what the store has already. */
  #before: Delta[] = [];
  #objects = new Told();
  /** Of what only the objects here begin. */
  #after: Delta[] = [];
  #thread: Pick<RunChange, 'container' | 'containerFiles'> | null = null;

  constructor(store: Pick<AssistantStore, 'commit'>, lease: Lease, channel: Channel, onWritten: () => void) {
    this.#store = store;
    this.#lease = lease;
    this.#channel = channel;
    this.#onWritten = onWritten;
  }

  add(told: Told): void {
    // Written before anybody is told of the part: whoever was told of it finds it in the message, however that ends.
    for (const message of told.begun) this.#objects.beginPart(message);
    for (const event of told.events) this.#addEvent(event);
    this.#objects.addRows(told);
  }

  tell(event: RunEvent): void {
    this.#addEvent(event);
  }

  keepContainer(container: NonNullable<Thread['container']>, files: readonly string[]): void {
    this.#thread = { container, ...(files.length > 0 && { containerFiles: files }) };
  }

  /** Something ended that must not be lost. */
  get isDurable(): boolean {
    return this.#objects.items.length > 0;
  }

  get isEmpty(): boolean {
    return this.#objects.isEmpty && this.#before.length === 0 && this.#after.length === 0;
  }

  /** Somebody waits for what is here: for words, or for the beginning of something. */
  get isUrgent(): boolean {
    if (!this.#channel.isRead) return false;
    return (
      this.#before.length > 0 ||
      this.#after.length > 0 ||
      this.#objects.events.some(({ event }) => !event.endsWith('completed'))
    );
  }

  /** Only the beginning of what is open is here, and nobody was told of it: then it may be taken back. */
  takeBackOpen(): boolean {
    if (!this.#objects.dropOpen()) return false;
    this.#after = [];
    return true;
  }

  /** Deltas alone: for those the store is not needed. */
  tellDeltas(): void {
    if (!this.#objects.isEmpty) return;
    this.#channel.tell(this.#before);
    this.#before = [];
  }

  /** @throws LeaseLost */
  async flush(): Promise<void> {
    this.#channel.tell(this.#before);
    this.#before = [];
    if (this.#objects.isEmpty && this.#thread === null) return;
    const [told, after, thread] = [this.#objects, this.#after, this.#thread];
    [this.#objects, this.#after, this.#thread] = [new Told(), [], null];
    const lastSeq = await this.#store.commit(this.#lease, { ...told.toChange(), ...thread });
    if (lastSeq === null) throw new LeaseLost(`the lease of the run ${this.#lease.run} was lost`);
    this.#channel.wrote(told.events, lastSeq);
    this.#channel.tell(after);
    if (told.events.length > 0) this.#onWritten();
  }

  /** Everything that is left, for the transaction that ends the turn. */
  drain(): RunChange {
    this.#channel.tell(this.#before);
    const change = { ...this.#objects.toChange(), ...this.#thread };
    [this.#before, this.#objects, this.#after, this.#thread] = [[], new Told(), [], null];
    return change;
  }

  #addEvent(event: RunEvent): void {
    if (!isDelta(event)) {
      // What is told of one object ends before the next begins: deltas between two that are written together are made up for.
      this.#after = [];
      this.#objects.events.push(event);
    } else push(this.#objects.isEmpty ? this.#before : this.#after, event);
  }
}

/** Joined to the last one, for nobody may be there to take them for long. */
function push(deltas: Delta[], delta: Delta): void {
  const last = deltas.at(-1);
  const joined = last === undefined ? null : joinDeltas(last, delta);
  if (joined === null) deltas.push(delta);
  else deltas[deltas.length - 1] = joined;
}
