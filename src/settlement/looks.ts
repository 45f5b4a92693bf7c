// One look at a piece of work: what the upstream tells of it now, and what follows from that.
import type { ReplyFacts } from '../domain/facts.ts';
import type { PendingWork, WorkKind, WorkProgress } from '../domain/pending-work.ts';
import { openBatchOutput } from '../openai/batch-output.ts';
import { member } from '../openai/findings.ts';
import { fileContentPath, pathOfWork } from '../openai/objects.ts';
import { scanReply } from '../openai/reply-facts.ts';
import type { Bill, PricedAt } from './bill.ts';
import {
  batchTotalBill,
  containerBill,
  evalBill,
  hasEnded,
  readOutput,
  responseBill,
  storageBill,
  trainingBill,
  videoBill,
} from './reckon.ts';
import { countStorage } from './storage.ts';
import type { ReadUpstream } from './upstream-reads.ts';

export interface Charge {
  /** What makes it the only one. */
  readonly settleKey: string;
  readonly bill: Bill;
  readonly servicePeriod: { readonly from: number; readonly to: number };
}

/**
 * - `unknown`: nothing was learnt; look again.
 * - `running`: what is charged so far, and what the next look has to know.
 * - `ended`: these charges are the last.
 */
export type Sight =
  | { readonly kind: 'unknown'; readonly why: string }
  | { readonly kind: 'running'; readonly charges: readonly Charge[]; readonly progress: WorkProgress }
  | { readonly kind: 'ended'; readonly charges: readonly Charge[] };

export interface LookParts {
  readonly read: ReadUpstream;
  readonly pricedAt: () => PricedAt;
  readonly freeBytes: () => bigint;
  /** What all vector stores held when they were looked at last. */
  readonly storedBytes: () => Promise<bigint>;
  readonly now: () => number;
}

/** Objects that tell how work stands are small; only responses are not, and those are scanned. */
const OBJECT_BYTES_MAX = 1024 * 1024;
const GONE = 404;

export async function lookAt(work: PendingWork, parts: LookParts): Promise<Sight> {
  switch (work.kind) {
    case 'response':
    case 'chat_completion':
    case 'video':
    case 'eval_run':
      return lookByFacts(work, parts);
    case 'batch':
      return lookAtBatch(work, parts);
    case 'fine_tuning_job':
      return lookAtTraining(work, parts);
    case 'container':
      return lookAtContainer(work, parts);
    case 'vector_store':
      return lookAtStore(work, parts);
  }
}

/** What a reply says that tells of the work, whoever asked for it; null where that is not enough, or the work goes on. */
export function sightOfFacts(work: PendingWork, facts: ReplyFacts, { pricedAt, now }: LookParts): Sight | null {
  const { kind } = work;
  if (!tellsOfEnd(kind, facts)) return null;
  const billOf = BILLS_OF_FACTS[kind];
  return ended(work, billOf(work, facts, pricedAt()), now());
}

const BILLS_OF_FACTS = {
  response: responseBill,
  chat_completion: responseBill,
  video: videoBill,
  eval_run: evalBill,
} as const;

/** A chat is kept when it has ended, and says nothing of that. */
function tellsOfEnd(kind: WorkKind, { status, usages }: ReplyFacts): kind is keyof typeof BILLS_OF_FACTS {
  if (kind === 'chat_completion') return usages.length > 0;
  return (kind === 'response' || kind === 'video' || kind === 'eval_run') && hasEnded(kind, status);
}

async function lookByFacts(work: PendingWork, parts: LookParts): Promise<Sight> {
  let facts: (() => ReplyFacts) | null = null;
  const result = await parts.read(work, pathOf(work), ({ contentType, endpoint }) => {
    const scan = scanReply(contentType, endpoint);
    if (scan === null) throw new Error('not JSON');
    facts = () => scan.facts();
    return (chunk) => scan.feed(chunk);
  });
  const read = facts as (() => ReplyFacts) | null;
  // It was not kept: what was guessed stands.
  if (work.isGuessed === true && 'status' in result && result.status === GONE) return { kind: 'ended', charges: [] };
  if (!isWhole(result) || read === null) return unknown(result);
  return sightOfFacts(work, read(), parts) ?? running(work.progress);
}

async function lookAtBatch(work: PendingWork, parts: LookParts): Promise<Sight> {
  const batch = await readObject(work, parts);
  if (!('object' in batch)) return batch.sight;
  if (!hasEnded('batch', member(batch.object, 'status'))) return running(work.progress);
  const output = member(batch.object, 'output_file_id');
  const pricedAt = parts.pricedAt();
  if (typeof output !== 'string') return ended(work, batchTotalBill(work, batch.object, pricedAt), parts.now());
  const reader = readOutput(work, batch.object, pricedAt);
  const lines = openBatchOutput((line) => reader.line(line));
  const result = await parts.read(work, fileContentPath(output), () => (chunk) => lines.feed(chunk));
  if ('status' in result && result.status === GONE)
    return ended(work, batchTotalBill(work, batch.object, pricedAt), parts.now());
  if (!isWhole(result)) return unknown(result);
  lines.end();
  return ended(work, reader.bill(), parts.now());
}

async function lookAtTraining(work: PendingWork, parts: LookParts): Promise<Sight> {
  const job = await readObject(work, parts);
  if (!('object' in job)) return job.sight;
  if (!hasEnded('fine_tuning_job', member(job.object, 'status'))) return running(work.progress);
  const isReinforced = member(member(job.object, 'method'), 'type') === 'reinforcement';
  const startedAt = isReinforced ? await beginOfTraining(work, parts) : null;
  return ended(work, trainingBill(work, job.object, startedAt, parts.pricedAt()), parts.now());
}

/** In seconds since 1970; null where no event tells. */
async function beginOfTraining(work: PendingWork, parts: LookParts): Promise<number | null> {
  const events = await readObject(work, parts, '/events?limit=100');
  const list = 'object' in events ? member(events.object, 'data') : null;
  if (!Array.isArray(list)) return null;
  for (const event of list as unknown[]) {
    const [message, at] = [member(event, 'message'), member(event, 'created_at')];
    if (typeof message === 'string' && /\bjob started\b/i.test(message) && typeof at === 'number') return at;
  }
  return null;
}

async function lookAtContainer(work: PendingWork, parts: LookParts): Promise<Sight> {
  const { progress } = work;
  const found = await readObject(work, parts);
  if (!('object' in found)) return found.isGone ? endOfContainer(work, progress, parts) : found.sight;
  const { object } = found;
  const seen: WorkProgress = {
    ...progress,
    ...numberNamed('createdAt', member(object, 'created_at')),
    ...numberNamed('lastActiveAt', member(object, 'last_active_at')),
    ...(typeof member(object, 'memory_limit') === 'string' && { memoryLimit: String(member(object, 'memory_limit')) }),
  };
  const status = member(object, 'status');
  if (status === 'expired' || status === 'deleted') return endOfContainer(work, seen, parts);
  return running(seen);
}

/**
 * A container is billed for as long as somebody used it.
 * @param goneAt when a client took it away; null where nobody saw it go
 */
export function endOfContainer(
  work: PendingWork,
  progress: WorkProgress,
  { pricedAt, now }: LookParts,
  goneAt: number | null = null,
): Sight {
  const memoryLimit = progress.memoryLimit ?? work.asked?.memoryLimit ?? null;
  // Whoever makes one by name gets it at once.
  const createdAt = progress.createdAt ?? (work.isResolving ? Math.floor(work.startedAt / 1000) : null);
  const lastAt = goneAt === null ? (progress.lastActiveAt ?? null) : Math.ceil(goneAt / 1000);
  // One that went before anybody saw it is billed the least.
  const endedAt = lastAt ?? (progress.createdAt === undefined ? null : Math.floor(now() / 1000));
  const bill = containerBill(work, { createdAt, endedAt, memoryLimit }, pricedAt());
  const settleKey = createdAt === null ? work.settleKey : `${work.settleKey}:${createdAt}`;
  const from = createdAt === null ? work.startedAt : createdAt * 1000;
  const servicePeriod = { from, to: Math.max(from, (endedAt ?? 0) * 1000) };
  return { kind: 'ended', charges: [{ settleKey, bill, servicePeriod }] };
}

async function lookAtStore(work: PendingWork, parts: LookParts): Promise<Sight> {
  const found = await readObject(work, parts);
  if (!('object' in found)) return found.isGone ? endOfStore(work, parts, work.progress.countedTo) : found.sight;
  const bytes = member(found.object, 'usage_bytes');
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
    return { kind: 'unknown', why: 'no_usage' };
  const expiredAt = member(found.object, 'expires_at');
  const isExpired = member(found.object, 'status') === 'expired';
  const to = isExpired && typeof expiredAt === 'number' ? Math.min(parts.now(), expiredAt * 1000) : parts.now();
  return countStore(work, parts, bytes, to, isExpired);
}

/** @param goneAt undefined where nobody saw it go: what was counted so far is all */
export function endOfStore(work: PendingWork, parts: LookParts, goneAt: number | undefined): Promise<Sight> {
  return countStore(work, parts, work.progress.bytes ?? 0, goneAt ?? work.startedAt, true);
}

async function countStore(
  work: PendingWork,
  parts: LookParts,
  bytes: number,
  to: number,
  isOver: boolean,
): Promise<Sight> {
  const others = (await parts.storedBytes()) - BigInt(work.progress.bytes ?? 0);
  const allBytes = (others > 0n ? others : 0n) + BigInt(bytes);
  const { days, progress } = countStorage(work, { bytes, allBytes, freeBytes: parts.freeBytes() }, to, isOver);
  const isOpen = work.isResolving && work.progress.isResolved !== true;
  const paid = days.filter(({ byteDays }, i) => byteDays > 0n || (isOpen && i === 0));
  const charges = paid.map(({ day, from, to: end, byteDays }): Charge => ({
    settleKey: `${work.settleKey}:${day}`,
    bill: storageBill(work, byteDays, parts.pricedAt()),
    servicePeriod: { from, to: end },
  }));
  return isOver ? { kind: 'ended', charges } : { ...running(progress), charges };
}

// ---- Their common parts.

type Found = { readonly object: unknown } | { readonly sight: Sight; readonly isGone: boolean };

async function readObject(work: PendingWork, { read }: LookParts, below = ''): Promise<Found> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const result = await read(work, pathOf(work) + below, () => (chunk) => {
    bytes += chunk.length;
    if (bytes > OBJECT_BYTES_MAX) throw new Error('larger than such an object is');
    chunks.push(chunk);
  });
  if (!isWhole(result)) return { sight: unknown(result), isGone: 'status' in result && result.status === GONE };
  try {
    return { object: JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown };
  } catch {
    return { sight: { kind: 'unknown', why: 'unreadable' }, isGone: false };
  }
}

function pathOf({ kind, upstreamId, startPath }: PendingWork): string {
  return pathOfWork(kind, upstreamId, startPath);
}

type Result = Awaited<ReturnType<ReadUpstream>>;

function isWhole(result: Result): boolean {
  return 'status' in result && result.status === 200;
}

function unknown(result: Result): Sight {
  return { kind: 'unknown', why: 'status' in result ? `status_${result.status}` : result.failure };
}

function running(progress: WorkProgress) {
  return { kind: 'running', charges: [] as readonly Charge[], progress } as const;
}

function ended({ settleKey, startedAt }: PendingWork, bill: Bill, to: number): Sight {
  return {
    kind: 'ended',
    charges: [{ settleKey, bill, servicePeriod: { from: startedAt, to: Math.max(startedAt, to) } }],
  };
}

function numberNamed<N extends string>(name: N, value: unknown): { [K in N]?: number } {
  // One name, one value: the compiler cannot see that.
  return typeof value === 'number' && Number.isFinite(value) ? ({ [name]: value } as { [K in N]?: number }) : {};
}
