// What work has cost that has ended, by its kind: from what the upstream tells of it, never from a guess. Pure.
import { NOTHING_ASKED, NOTHING_SEEN, type ReplyFacts, type RequestFacts } from '../domain/facts.ts';
import type { PendingWork, WorkKind } from '../domain/pending-work.ts';
import type { Meter, Reading, Usage } from '../domain/usage.ts';
import type { BatchLine } from '../openai/batch-output.ts';
import { findEndpoint } from '../openai/endpoints.ts';
import { member } from '../openai/findings.ts';
import { readImageTool, readUsage } from '../openai/usage.ts';
import { type Bill, BillOfParts, type PricedAt } from './bill.ts';

const ENDED: Readonly<
  Record<Exclude<WorkKind, 'vector_store' | 'container' | 'chat_completion'>, ReadonlySet<string>>
> = {
  response: new Set(['completed', 'failed', 'incomplete', 'cancelled']),
  batch: new Set(['completed', 'failed', 'expired', 'cancelled']),
  fine_tuning_job: new Set(['succeeded', 'failed', 'cancelled']),
  video: new Set(['completed', 'failed']),
  eval_run: new Set(['completed', 'failed', 'canceled', 'cancelled']),
};

export function hasEnded(kind: keyof typeof ENDED, status: unknown): boolean {
  return typeof status === 'string' && ENDED[kind].has(status);
}

export function responseBill(work: PendingWork, facts: ReplyFacts, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  const { serviceTier } = facts;
  bill.add({ usage: usageOf(work, facts), model: facts.model ?? work.model, serviceTier });
  const drawn = readImageTool(facts);
  if (drawn !== null) bill.add({ ...drawn, serviceTier });
  return bill.total();
}

export function videoBill(work: PendingWork, facts: ReplyFacts, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  bill.add({ usage: usageOf(work, facts), model: facts.model ?? work.model, serviceTier: null });
  return bill.total();
}

/** Each model at its own prices. What the runs of one model add up to says nothing of how long each of them was. */
export function evalBill(work: PendingWork, facts: ReplyFacts, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  for (const usage of facts.usages) {
    const name = member(usage, 'model_name');
    const model = typeof name === 'string' ? name : (facts.model ?? work.model);
    bill.add({ usage: usageOf(work, { ...facts, usages: [usage] }), model, serviceTier: null, isSum: true });
  }
  return bill.total();
}

/** By the tokens trained; a reinforcement by the seconds that it took. @param startedAt when training began, where its events say so */
export function trainingBill(work: PendingWork, job: unknown, startedAt: number | null, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  const named = member(job, 'model');
  const model = typeof named === 'string' ? named : work.model;
  const isReinforced = member(member(job, 'method'), 'type') === 'reinforcement';
  const tokens = member(job, 'trained_tokens');
  const status = member(job, 'status');
  const facts: ReplyFacts = {
    ...NOTHING_SEEN,
    status: typeof status === 'string' ? status : null,
    usages: typeof tokens === 'number' ? [{ trained_tokens: tokens }] : [],
  };
  bill.add({ usage: isReinforced ? trainingTime(job, startedAt) : usageOf(work, facts), model, serviceTier: null });
  return bill.total();
}

/** Without the moment at which training began, what it waited before is in it: an estimate. */
function trainingTime(job: unknown, startedAt: number | null): Part {
  const finishedAt = member(job, 'finished_at');
  const from = startedAt ?? member(job, 'created_at');
  if (typeof finishedAt !== 'number' || typeof from !== 'number' || finishedAt < from)
    return { source: 'absent', readings: null, problems: [] };
  const source = startedAt === null ? 'estimated' : 'reported';
  return { source, readings: secondsOf('reinforcement_seconds', finishedAt - from), problems: [] };
}

type Part = Pick<Usage, 'readings' | 'problems' | 'source'>;

export interface OutputReader {
  line(line: BatchLine): void;
  bill(): Bill;
}

/** The lines of a batch, each priced as the exchange that it is. What failed costs nothing. */
export function readOutput(work: PendingWork, batch: unknown, pricedAt: PricedAt): OutputReader {
  const path = member(batch, 'endpoint');
  const endpoint = typeof path === 'string' ? findEndpoint('POST', path) : undefined;
  const bill = new BillOfParts(work, pricedAt);
  return {
    line({ status, facts }) {
      if (status !== 200 || endpoint?.billing === 'free') return;
      const usage = readUsage(endpoint, facts, null);
      bill.add({ usage, model: facts.model, serviceTier: facts.serviceTier, mode: 'batch' });
    },
    bill: () => bill.total(),
  };
}

/** By its total, where the lines are not to be had. */
export function batchTotalBill(work: PendingWork, batch: unknown, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  const usage = member(batch, 'usage');
  const completed = member(member(batch, 'request_counts'), 'completed');
  const hasUsage = typeof usage === 'object' && usage !== null;
  if (!hasUsage && (completed === 0 || member(batch, 'status') === 'failed')) return bill.total();
  const named = member(batch, 'model');
  const facts: ReplyFacts = { ...NOTHING_SEEN, usages: hasUsage ? [usage] : [] };
  const model = typeof named === 'string' ? named : work.model;
  bill.add({ usage: usageOf(work, facts), model, serviceTier: null, mode: 'batch', isSum: true });
  return bill.total();
}

const MEMORY_METERS: Readonly<Record<string, Meter>> = {
  '1g': 'container_1g_seconds',
  '4g': 'container_4g_seconds',
  '16g': 'container_16g_seconds',
  '64g': 'container_64g_seconds',
};
/** The least that is billed, where nothing is known but that there was one. */
const LEAST_SECONDS = 300;

export interface ContainerLife {
  /** Seconds since 1970; null where nobody saw it. */
  readonly createdAt: number | null;
  readonly endedAt: number | null;
  readonly memoryLimit: string | null;
}

export function containerBill(work: PendingWork, life: ContainerLife, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  const { createdAt, endedAt, memoryLimit } = life;
  const meter = MEMORY_METERS[memoryLimit ?? '1g'];
  const isSeen = createdAt !== null && endedAt !== null;
  // A container that nothing ran in is billed its least time: a moment is billed as that.
  const seconds = isSeen ? Math.max(1, endedAt - createdAt) : LEAST_SECONDS;
  const readings = meter === undefined ? null : secondsOf(meter, seconds);
  bill.add({
    usage: { source: isSeen ? 'reported' : 'estimated', readings, problems: [] },
    model: null,
    serviceTier: null,
  });
  return bill.total();
}

export function storageBill(work: PendingWork, byteDays: bigint, pricedAt: PricedAt): Bill {
  const bill = new BillOfParts(work, pricedAt);
  const readings: Reading[] = byteDays === 0n ? [] : [{ meter: 'vector_store_byte_days', quantity: byteDays }];
  bill.add({ usage: { source: 'reported', readings, problems: [] }, model: null, serviceTier: null });
  return bill.total();
}

/** Seconds are counted in thousandths. */
function secondsOf(meter: Meter, seconds: number): Reading[] {
  return [{ meter, quantity: BigInt(Math.round(seconds * 1000)) }];
}

/** As an exchange would be read that ended with this reply. */
function usageOf({ startPath, asked }: PendingWork, facts: ReplyFacts): Usage {
  const request: RequestFacts = {
    ...NOTHING_ASKED,
    seconds: asked?.seconds ?? null,
    size: asked?.size ?? null,
    serviceTier: asked?.serviceTier ?? null,
    promptCacheRetention: asked?.cacheRetention ?? null,
  };
  return readUsage(findEndpoint('POST', startPath), facts, request);
}
