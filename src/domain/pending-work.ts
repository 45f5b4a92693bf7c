// Work that an exchange started and that is paid for later: when it has ended, or day by day.
import type { ReplyFacts } from './facts.ts';
import type { ExchangeId, KeyId, TeamId } from './id.ts';

/** Kinds of objects whose cost is known only after the exchange that made them. */
export const WORK_KINDS = [
  'response',
  'chat_completion',
  'batch',
  'fine_tuning_job',
  'video',
  'vector_store',
  'container',
  'eval_run',
] as const;

export type WorkKind = (typeof WORK_KINDS)[number];

/**
 * - `open`: to be looked at again.
 * - `settled`: all that it cost is entered.
 * - `unsettled`: its time is over and nobody learnt what it cost. What its exchange set aside stands; a client's read still settles it.
 */
export type WorkState = 'open' | 'settled' | 'unsettled';

export interface NewWork {
  /** One for each object: `batch:<id>`. Entries of what is settled in parts have more behind it. */
  readonly settleKey: string;
  readonly kind: WorkKind;
  readonly upstreamId: string;
  /** The path of the request that started it. */
  readonly startPath: string;
  /** That which started it. Team, key, user and tags are those of its entry. */
  readonly exchangeId: ExchangeId;
  readonly teamId: TeamId | null;
  readonly keyId: KeyId | null;
  readonly model: string | null;
  /** Name of the credential that started it, which alone may see it; null where it is not known. */
  readonly credential: string | null;
  /** Milliseconds since 1970: the moment whose prices hold. */
  readonly startedAt: number;
  /** The same clock. */
  readonly firstLookAt: number;
  /** Its exchange left its own cost open: the first entry for this work says it. Otherwise it costs something beside that. */
  readonly isResolving: boolean;
  /** Its exchange ended before its usage was told, and was charged an estimate: what is learnt later takes its place. */
  readonly isGuessed?: boolean;
  readonly asked: AskedOfWork | null;
}

/** What a request asked for, and got, that a price may depend on. */
export interface AskedOfWork {
  readonly seconds: number | null;
  readonly size: string | null;
  readonly serviceTier: string | null;
  readonly cacheRetention: string | null;
  /** Of a container. */
  readonly memoryLimit: string | null;
}

export interface PendingWork extends Omit<NewWork, 'firstLookAt'> {
  readonly state: WorkState;
  readonly looks: number;
  readonly nextLookAt: number;
  readonly progress: WorkProgress;
}

/** What a client's own exchange told of work, through us. */
export interface WorkTold {
  readonly kind: WorkKind;
  readonly id: string;
  readonly isDeleted: boolean;
  readonly facts: ReplyFacts;
}

/** What earlier looks have seen; empty before the first. */
export interface WorkProgress {
  /** Of a container, seconds since 1970. */
  readonly createdAt?: number;
  readonly lastActiveAt?: number;
  readonly memoryLimit?: string;
  /** Of a vector store: what it held at the last look, and up to when that is counted. */
  readonly bytes?: number;
  readonly countedTo?: number;
  /** Byte-milliseconds of the day that `countedTo` lies in, after the free part. Decimal text. */
  readonly byteMs?: string;
  /** An entry has resolved what the exchange left open. */
  readonly isResolved?: boolean;
}

export interface NextLook {
  readonly nextLookAt: number;
  readonly progress: WorkProgress;
}

/**
 * How long settled work is remembered: what it cost stands in the ledger, where its settle key stays taken. Whoever tells of it later
 * tells of work that nobody knows, and a record that is read again after so long begins none.
 */
export const SETTLED_KEPT_MS = 30 * 86_400_000;

/** The work of all replicas. Rows come to be with the entries of the exchanges that started the work: see LedgerStore.post. */
export interface WorkStore {
  /** Work that is due and nobody else's, the longest due first; it is this owner's until the lease ends. */
  claimDue(claim: WorkClaim & { readonly limit: number }): Promise<readonly PendingWork[]>;
  /** The same for one that is not settled, due or not; null where it is, or where somebody has it. */
  claim(settleKey: string, claim: WorkClaim): Promise<PendingWork | null>;
  find(settleKey: string): Promise<PendingWork | null>;
  /** To be looked at again; gives the lease back. @returns false where the lease was lost, and nothing is written */
  putOff(settleKey: string, owner: string, next: NextLook): Promise<boolean>;
  /** Forgets a few of those that were settled before a moment. @returns how many went */
  forgetSettled(beforeMs: number): Promise<number>;
  /** It is over, whoever holds the lease. */
  end(settleKey: string, state: Exclude<WorkState, 'open'>): Promise<void>;
  /** Bytes that all open vector stores held when they were looked at last. */
  storedBytes(): Promise<bigint>;
  count(): Promise<readonly { readonly kind: WorkKind; readonly state: WorkState; readonly count: number }[]>;
}

export interface WorkClaim {
  readonly owner: string;
  readonly leaseMs: number;
}

export function isWorkKind(kind: string): kind is WorkKind {
  return (WORK_KINDS as readonly string[]).includes(kind);
}

/** The prefixes of settle keys (reference: cost 8). */
const KEYS: Readonly<Record<WorkKind, string>> = {
  response: 'resp',
  chat_completion: 'chat',
  batch: 'batch',
  fine_tuning_job: 'ftjob',
  video: 'video',
  vector_store: 'vs',
  container: 'cntr',
  eval_run: 'run',
};

export function settleKeyOf(kind: WorkKind, id: string): string {
  return `${KEYS[kind]}:${id}`;
}
