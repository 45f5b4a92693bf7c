// What the operations of the desk have in common: what they are asked, what they answer, and the parts they work with.
import type { AssistantsSettings } from '../config/assistants.ts';
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { Assistant, AssistantId, FileId, MessageId, RunId, StepId, ThreadId } from '../domain/assistants.ts';
import type { Caller } from '../domain/key.ts';
import type { Run, RunRef } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import type { RunEngine } from './engine.ts';
import type { KnownModels } from './known-models.ts';
import type { NamedObjects } from './named-objects.ts';
import type { RequestSchemas } from './requests.ts';
import type { UpstreamCalls } from './upstream-calls.ts';

export interface Desk {
  readonly store: AssistantStore;
  readonly engine: RunEngine;
  readonly wakeups: Wakeups;
  readonly settings: AssistantsSettings;
  readonly schemas: RequestSchemas;
  readonly models: KnownModels;
  /** By id, without the team that they will belong to. */
  readonly templates: ReadonlyMap<string, Omit<Assistant, 'teamId' | 'createdAt'>>;
  /** Runs that waited for a worker at the last look. */
  queuedRuns(): number;
  /** Called when the run has something new to tell. @returns takes the listener away */
  onRunChange(run: RunRef, listener: () => void): () => void;
  /** One at a time for each key: what is read before an upstream call still stands after it. */
  inTurn<T>(key: string, work: () => Promise<T>): Promise<T>;
}

/** The ids of a path. Which of them are there is what the route says; each begins as ids of its kind do. */
export interface PathIds {
  readonly assistant_id: AssistantId;
  readonly thread_id: ThreadId;
  readonly message_id: MessageId;
  readonly run_id: RunId;
  readonly step_id: StepId;
  readonly file_id: FileId;
}

export interface Asked {
  readonly caller: Caller;
  readonly ids: PathIds;
  readonly query: URLSearchParams;
  /** An object, `{}` where there was no body. */
  readonly body: unknown;
  header(name: string): string | null;
  readonly calls: UpstreamCalls;
  readonly named: NamedObjects;
  readonly signal: AbortSignal;
}

export type Answer =
  | { readonly kind: 'object'; readonly body: unknown; readonly headers?: readonly string[] }
  /** The events of a run after a place, to the one that ends the stream. */
  | {
      readonly kind: 'stream';
      readonly run: Run;
      readonly afterSeq: number;
      /** Each event in a wrapper that tells its place. */
      readonly isNumbered: boolean;
      /** The engine hears of the run when the stream stands, so that it misses nothing. */
      readonly startsRun: boolean;
      readonly headers: readonly string[];
    }
  | { readonly kind: 'bytes'; readonly body: AsyncIterable<Buffer>; readonly headers: readonly string[] };

export type Operation = (desk: Desk, asked: Asked) => Promise<Answer>;

export function object(body: unknown, headers: readonly string[] = []): Answer {
  return { kind: 'object', body, headers };
}

/** Whole seconds, as objects tell their times. */
export function secondsNow({ store }: Pick<Desk, 'store'>): number {
  return Math.floor(store.now() / 1000);
}
