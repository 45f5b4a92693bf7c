// What the Assistants API asks of the store. Each function is one transaction; every query names the team. Outcomes that a
// caller must hear of are told in the answer, never thrown. One implementation for both engines, one contract suite.
import type {
  Assistant,
  AssistantId,
  FileId,
  GeneratedFile,
  HistoryItem,
  HistoryPayload,
  Message,
  MessageId,
  Metadata,
  RunId,
  StepId,
  Thread,
  ThreadId,
  ToolResources,
  UnixSeconds,
} from './assistants.ts';
import type { KeyId, TeamId } from './id.ts';
import type {
  ActiveStatus,
  Lease,
  PlacedEvent,
  Run,
  RunChange,
  RunEvent,
  RunRef,
  RunSpec,
  RunStatus,
  RunStep,
  TurnEnd,
} from './run.ts';

export interface AssistantStore extends AssistantObjects, RunRequests, RunWork, RunEventLog, Keepsakes {
  /** The time that all replicas of this store agree on, milliseconds: for every time that is written here. */
  now(): number;
}

/** Objects as callers make, read and change them. */
export interface AssistantObjects {
  /** @returns false where the team has this id already */
  insertAssistant(assistant: Assistant): Promise<boolean>;
  findAssistant(team: TeamId, id: AssistantId): Promise<Assistant | null>;
  /** @param change pure; may be called with the row locked. */
  updateAssistant(team: TeamId, id: AssistantId, change: (stored: Assistant) => Assistant): Promise<Assistant | null>;
  deleteAssistant(team: TeamId, id: AssistantId): Promise<boolean>;
  listAssistants(team: TeamId, page: ObjectPage<AssistantId>): Promise<ObjectList<Assistant>>;

  /** @returns false where the team has this id already, and then nothing was written */
  insertThread(thread: Thread, messages: readonly Message[]): Promise<boolean>;
  findThread(team: TeamId, id: ThreadId): Promise<Thread | null>;
  updateThread(team: TeamId, id: ThreadId, change: (stored: Thread) => Thread): Promise<Thread | null>;
  /**
   * Takes messages, runs, steps, history and events with it, and files that its runs made and nothing else names.
   * @returns null for an unknown id; else the run that was active, and the upstream's copies of those files
   */
  deleteThread(
    team: TeamId,
    id: ThreadId,
  ): Promise<{ readonly active: Run | null; readonly upstreamIds: readonly string[] } | null>;
  listThreads(team: TeamId, page: ObjectPage<ThreadId>): Promise<ObjectList<Thread>>;

  /** @param resources changes the thread's tool resources in the same transaction */
  addMessage(
    message: Message,
    resources?: ChangeResources,
  ): Promise<Outcome<'added', unknown> | NoThread | ThreadLocked | ThreadFull>;
  findMessage(team: TeamId, thread: ThreadId, id: MessageId): Promise<Message | null>;
  updateMessage(team: TeamId, thread: ThreadId, id: MessageId, metadata: Metadata): Promise<Message | null>;
  /** Refused while the run that makes it is active. @returns null for an unknown id */
  deleteMessage(
    team: TeamId,
    thread: ThreadId,
    id: MessageId,
  ): Promise<Outcome<'deleted', unknown> | ThreadLocked | null>;
  /** Null for an unknown thread. */
  listMessages(
    team: TeamId,
    thread: ThreadId,
    page: ObjectPage<MessageId>,
    filter: { readonly runId?: RunId | undefined },
  ): Promise<ObjectList<Message> | null>;

  findRun(team: TeamId, thread: ThreadId, id: RunId): Promise<Run | null>;
  findActiveRun(team: TeamId, thread: ThreadId): Promise<Run | null>;
  updateRun(team: TeamId, thread: ThreadId, id: RunId, metadata: Metadata): Promise<Run | null>;
  /** Null for an unknown thread. */
  listRuns(team: TeamId, thread: ThreadId, page: ObjectPage<RunId>): Promise<ObjectList<Run> | null>;
  /** Null for an unknown thread or run. */
  listSteps(team: TeamId, thread: ThreadId, run: RunId, page: ObjectPage<StepId>): Promise<ObjectList<RunStep> | null>;
  findStep(team: TeamId, thread: ThreadId, run: RunId, id: StepId): Promise<RunStep | null>;
}

export interface ObjectPage<Id extends string> {
  readonly limit: number;
  /** By creation; rows of the same second in the order in which they were written. */
  readonly order: 'asc' | 'desc';
  readonly after?: Id | undefined;
  /** The page that ends right before this id, in the same order. */
  readonly before?: Id | undefined;
}

export type ObjectList<T> =
  | { readonly kind: 'page'; readonly data: readonly T[]; readonly hasMore: boolean }
  | { readonly kind: 'unknown_cursor'; readonly cursor: 'after' | 'before' };

export type Outcome<Kind extends string, Members> = { readonly kind: Kind } & Members;
export type NoThread = { readonly kind: 'no_thread' };
export type NoRun = { readonly kind: 'no_run' };
/** The thread takes none while this run is active. */
export type ThreadLocked = { readonly kind: 'locked'; readonly runId: RunId };
export type WrongState = { readonly kind: 'wrong_state'; readonly status: RunStatus };
/** The thread has as many messages as one may have, or would have more. */
export type ThreadFull = { readonly kind: 'full'; readonly messages: number };
/** Pure; called with the thread locked. */
export type ChangeResources = (current: ToolResources) => ToolResources;

/** What callers ask of runs. */
export interface RunRequests {
  /**
   * Queues a run, with its additional messages and the events `thread.run.created` and `thread.run.queued` (behind
   * `thread.created`, where the thread is new). Where the thread is locked nothing at all is written.
   */
  createRun(request: NewRun): Promise<Outcome<'created', { readonly run: Run }> | NoThread | ThreadLocked | ThreadFull>;
  /** Outputs for all pending calls at once: fills the step, appends the history, queues the run again, tells the events. */
  submitOutputs(
    team: TeamId,
    thread: ThreadId,
    run: RunId,
    outputs: readonly { readonly callId: string; readonly output: string }[],
    /** Unix seconds; the run's own expiry stays where this is null. */
    expiresAt: UnixSeconds | null,
  ): Promise<
    | Outcome<'submitted', { readonly run: Run; readonly afterSeq: number }>
    | NoRun
    | WrongState
    | Outcome<'mismatch', { readonly expected: readonly string[] }>
  >;
  /**
   * Asks an active run to stop. Where nobody holds it, it is cancelled in the same transaction; the answer still shows it
   * as cancelling, which is what callers are told.
   */
  cancelRun(
    team: TeamId,
    thread: ThreadId,
    run: RunId,
  ): Promise<Outcome<'cancelling', { readonly run: Run; readonly isEnded: boolean }> | NoRun | WrongState>;
}

export interface NewRun {
  readonly teamId: TeamId;
  readonly keyId: KeyId;
  /** A thread that stands, or one to be made in the same transaction. */
  readonly thread: ThreadId | { readonly thread: Thread; readonly messages: readonly Message[] };
  readonly id: RunId;
  readonly assistantId: AssistantId;
  readonly createdAt: UnixSeconds;
  readonly expiresAt: UnixSeconds;
  readonly spec: RunSpec;
  readonly metadata: Metadata;
  readonly include: readonly string[];
  readonly additionalMessages: readonly Message[];
  readonly resources?: ChangeResources | undefined;
}

/** What the engine does. Every write names a lease and does nothing once a newer claim, or a terminal state, stands. */
export interface RunWork {
  /** The oldest run that is queued, or whose worker's lease lapsed. Two claimers never get the same. */
  claim(request: ClaimRequest): Promise<Claim | null>;
  /** Null: the lease is lost; stop at once. `cancelling`: somebody asked for a cancel. */
  heartbeat(lease: Lease, leaseMs: number): Promise<RunStatus | null>;
  /** Gives the run back as it is, for any replica to take over without counting a rerun. */
  release(lease: Lease, nextTryAt?: number): Promise<void>;
  /** Counts a turn, and answers its number; null where the lease is lost or the run is no longer in progress. */
  beginTurn(lease: Lease): Promise<number | null>;
  /** Writes rows and events of a running turn. @returns the place of the last event, null where the lease is lost */
  commit(lease: Lease, change: RunChange): Promise<number | null>;
  /**
   * Ends a turn and gives the lease back; `usage` is the run's sum. `failed` and `incomplete` close messages and steps that
   * are still open. The events of the end itself (`thread.run.*` and of what was closed) are written here, after `change`.
   * @returns null where the lease is lost, or somebody asked for a cancel meanwhile: call `finishCancel` then.
   */
  endTurn(lease: Lease, end: TurnEnd, change: RunChange): Promise<Run | null>;
  /** Ends a cancelling run: open messages incomplete, open steps cancelled. Null where the lease is lost. */
  finishCancel(lease: Lease, change?: RunChange): Promise<Run | null>;
  /** Ends runs whose time is over, whoever holds them, and cancelling ones that nobody holds. */
  sweepRuns(rowsMax: number): Promise<readonly Run[]>;
  /** Every row that a run left so far, in the order of their writing. */
  readRunRows(
    run: RunRef,
  ): Promise<{ readonly run: Run; readonly messages: readonly Message[]; readonly steps: readonly RunStep[] } | null>;
  /** Takes away rows of a broken turn that nobody saw. */
  dropRows(
    lease: Lease,
    rows: { readonly messages: readonly MessageId[]; readonly steps: readonly StepId[] },
  ): Promise<void>;
  /** A part of the thread's history. `ord` is a place; parts are read on from the last one. */
  readHistory(
    team: TeamId,
    thread: ThreadId,
    part: { readonly order: 'asc' | 'desc'; readonly from: number | null; readonly limit: number },
  ): Promise<readonly { readonly ord: number; readonly item: HistoryItem }[]>;
  /** How many runs are in each active state. */
  countRuns(): Promise<ReadonlyMap<ActiveStatus, number>>;
}

export interface ClaimRequest {
  /** Names the claimer in logs. */
  readonly owner: string;
  readonly leaseMs: number;
  /** Only this one. */
  readonly run?: RunRef | undefined;
  /** Teams that run as much as they may. */
  readonly exceptTeams?: readonly TeamId[] | undefined;
}

export interface Claim {
  readonly lease: Lease;
  readonly run: Run;
  /** `released`: given back by a worker that stopped in order. `lapsed`: its worker was lost, and a rerun is counted. */
  readonly from: 'queued' | 'released' | 'lapsed';
}

export interface RunEventLog {
  /** Without a lease: for events that no row tells. @returns the place of the last one */
  appendEvents(run: RunRef, events: readonly RunEvent[]): Promise<number>;
  readEvents(run: RunRef, afterSeq: number, limit: number): Promise<readonly PlacedEvent[]>;
  /** Events of runs that ended before a moment (milliseconds). @returns how many went */
  purgeEvents(endedBefore: number, rowsMax: number): Promise<number>;
}

/** What is kept beside the objects. */
export interface Keepsakes {
  /** @returns false where its thread is gone, and then nothing was written */
  insertGeneratedFile(file: GeneratedFile, content: AsyncIterable<Buffer>): Promise<boolean>;
  findGeneratedFile(team: TeamId, id: FileId): Promise<GeneratedFile | null>;
  readGeneratedFile(team: TeamId, id: FileId): AsyncIterable<Buffer>;
  deleteGeneratedFile(team: TeamId, id: FileId): Promise<boolean>;

  /**
   * Takes a place for a request that names a key of its own. `same`: it was made before, and this is what was answered, or
   * null while it is being answered. `other`: under this key something else was asked.
   */
  reserveIdempotency(
    entry: IdempotencyEntry,
  ): Promise<
    | Outcome<'new', unknown>
    | Outcome<'same', { readonly reply: string | null; readonly reservedMs: number }>
    | Outcome<'other', unknown>
  >;
  /** Null takes the reservation away, so that the request may be made again. */
  settleIdempotency(entry: IdempotencyEntry, reply: string | null): Promise<void>;
  purgeIdempotency(reservedBefore: number, rowsMax: number): Promise<number>;

  /** Keeps ids, times and order; what stands already is replaced. With `isDryRun` nothing is written. */
  importObject(
    object: ImportedObject,
    isDryRun: boolean,
  ): Promise<'created' | 'updated' | 'unchanged' | 'no_thread' | 'no_run' | 'no_file'>;
  /** Teams that have anything to export. */
  exportTeams(): Promise<readonly TeamId[]>;
  /** Objects of one kind by their creation, items by their place. @param thread null for assistants and threads */
  exportObjects(
    kind: Exclude<ImportedObject['kind'], 'file_part'>,
    team: TeamId,
    thread: ThreadId | null,
    page: { readonly cursor: ExportCursor | null; readonly limit: number },
  ): Promise<{ readonly data: readonly ImportedObject[]; readonly cursor: ExportCursor | null }>;
}

/** The last row of a page. */
export type ExportCursor = readonly [place: number, pk: number];

export interface IdempotencyEntry {
  readonly teamId: TeamId;
  readonly key: string;
  /** Method and path. */
  readonly route: string;
  readonly bodyHash: string;
}

export type ImportedObject =
  | { readonly kind: 'assistant'; readonly object: Assistant }
  | { readonly kind: 'thread'; readonly object: Thread }
  | {
      readonly kind: 'message';
      readonly object: Message;
      /** Its place in the history; null where it has none, undefined where its time says it. */
      readonly ord?: number | null | undefined;
    }
  | { readonly kind: 'item'; readonly object: ImportedItem }
  | { readonly kind: 'run'; readonly object: Omit<Run, 'ref'> }
  | { readonly kind: 'step'; readonly object: RunStep }
  | { readonly kind: 'file'; readonly object: GeneratedFile; readonly isShared: boolean }
  | { readonly kind: 'file_part'; readonly object: FilePart };

/** What stands in the history between messages. */
export interface ImportedItem {
  readonly teamId: TeamId;
  readonly threadId: ThreadId;
  readonly ord: number;
  readonly runId: RunId | null;
  readonly turn: number | null;
  readonly outIx: number | null;
  readonly payload: HistoryPayload;
}

export interface FilePart {
  readonly teamId: TeamId;
  readonly fileId: FileId;
  /** From 0. */
  readonly part: number;
  readonly content: Buffer;
}
