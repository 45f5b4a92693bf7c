// What a turn has to tell and to keep so far: events in their order, and rows in their last state. Goes to the store in one piece.
import type { Message } from '../domain/assistants.ts';
import type { NewHistoryItem, RunChange, RunEvent, RunStep } from '../domain/run.ts';

export class Told {
  readonly events: RunEvent[] = [];
  readonly items: NewHistoryItem[] = [];
  readonly #messages = new Map<string, Message>();
  readonly #steps = new Map<string, RunStep>();
  readonly #begun = new Set<string>();

  get isEmpty(): boolean {
    return this.events.length === 0 && this.items.length === 0 && !this.hasRows;
  }

  get hasRows(): boolean {
    return this.#messages.size > 0 || this.#steps.size > 0;
  }

  get messages(): readonly Message[] {
    return [...this.#messages.values()];
  }

  get steps(): readonly RunStep[] {
    return [...this.#steps.values()];
  }

  message(event: 'created' | 'in_progress' | 'completed' | 'incomplete', message: Message): void {
    this.#messages.set(message.id, message);
    this.events.push({ event: `thread.message.${event}`, message });
  }

  step(event: RunStep['status'] | 'created', step: RunStep): void {
    this.#steps.set(step.id, step);
    this.events.push({ event: `thread.run.step.${event}`, step });
  }

  /** A row that no event tells of. */
  keepStep(step: RunStep): void {
    this.#steps.set(step.id, step);
  }

  /** A part of a message that is being written: the message keeps its place, should nobody come to write the rest. */
  beginPart(message: Message): void {
    this.#messages.set(message.id, message);
    this.#begun.add(message.id);
  }

  /** Messages in which a part began. */
  get begun(): readonly Message[] {
    return this.messages.filter(({ id }) => this.#begun.has(id));
  }

  /** What the other has to tell comes after what this one has. */
  add(other: Told): void {
    this.events.push(...other.events);
    this.addRows(other);
  }

  /** The rows and the history of the other, without its events. */
  addRows(other: Told): void {
    for (const message of other.messages) this.#messages.set(message.id, message);
    for (const step of other.steps) this.#steps.set(step.id, step);
    this.items.push(...other.items);
  }

  /** Takes back what is open, where it began in here. @returns whether it did */
  dropOpen(): boolean {
    const begun = this.events.findLastIndex(({ event }) => event === 'thread.run.step.created');
    const opening = this.events.slice(begun);
    if (begun === -1 || opening.some(({ event }) => /(completed|incomplete|failed|cancelled|expired)$/.test(event)))
      return false;
    this.events.splice(begun);
    for (const event of opening) {
      if ('message' in event) this.#messages.delete(event.message.id);
      if ('step' in event) this.#steps.delete(event.step.id);
    }
    return true;
  }

  toChange(): Required<Pick<RunChange, 'messages' | 'steps' | 'items' | 'events'>> {
    return { messages: this.messages, steps: this.steps, items: this.items, events: this.events };
  }
}

export function isDelta(event: RunEvent): event is Extract<RunEvent, { delta: unknown }> {
  return event.event === 'thread.message.delta' || event.event === 'thread.run.step.delta';
}
