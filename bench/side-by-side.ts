// The frame of every section: start all variants afresh, check each, run the load over them in turns, stop them.
import type { LoadResult, Upstream } from './native.ts';
import { residentMb } from './processes.ts';
import { smokeCheck } from './smoke.ts';
import { interleaved } from './statistics.ts';
import type { Running, Variant } from './variants.ts';

export interface Bench {
  readonly upstream: Upstream;
  readonly variants: readonly Variant[];
  readonly rounds: number;
  /** Multiplies every window: 1 for figures to keep, less for a first look. */
  readonly pace: number;
}

export interface Contestant extends Running {
  readonly name: string;
  readonly chatReplyBytes: number;
  /** Resident memory right after the start, before any request. */
  readonly idleMb: number;
}

/** One row a variant, one column a measure; `undefined` where it does not apply. */
export type Row = Readonly<Record<string, number | undefined>>;
export interface Section {
  readonly name: string;
  readonly title: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly rows: Readonly<Record<string, Row>>;
}

const SETTLE_MS = 500;

export async function withContestants<T>(
  bench: Bench,
  run: (contestants: readonly Contestant[]) => Promise<T>,
): Promise<T> {
  const started: Running[] = [];
  const contestants: Contestant[] = [];
  try {
    for (const variant of bench.variants) {
      const running = await variant.start(bench.upstream);
      started.push(running);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const idleMb = residentMb(running.pids);
      const chatReplyBytes = await smokeCheck(variant, running, bench.upstream);
      contestants.push({ ...running, name: variant.name, idleMb, chatReplyBytes });
    }
    return await run(contestants);
  } finally {
    for (const running of started) await running.stop();
  }
}

/** Runs one load over all contestants in turns. Answers each one's results in the order of the rounds. */
export async function inTurns(
  bench: Bench,
  contestants: readonly Contestant[],
  label: string,
  loadOne: (contestant: Contestant) => Promise<LoadResult>,
): Promise<Map<string, LoadResult[]>> {
  const results = new Map<string, LoadResult[]>(contestants.map(({ name }) => [name, []]));
  for (const contestant of interleaved(contestants, bench.rounds)) {
    let result = await loadOne(contestant);
    // A virtual machine that was paused for the length of a window says nothing about anybody.
    if (result.requests + result.events + result.bytes === 0 && result.errors === 0) result = await loadOne(contestant);
    results.get(contestant.name)?.push(result);
    const trouble = result.errors > 0 ? `  ${result.errors} ERRORS, the first: ${result.first_error}` : '';
    const late = result.unfinished > 0 ? `  ${result.unfinished} never answered` : '';
    console.error(
      `${label}  ${contestant.name}: ${result.requests} replies in ${result.seconds.toFixed(2)} s${late}${trouble}`,
    );
  }
  return results;
}

/**
 * As inTurns, but with new processes in each round: what a compiler or a collector happens to make of one process is luck,
 * and luck must not last for a whole comparison.
 */
export async function inFreshRounds(
  bench: Bench,
  label: string,
  loadOne: (contestant: Contestant) => Promise<LoadResult>,
): Promise<Map<string, LoadResult[]>> {
  const results = new Map<string, LoadResult[]>(bench.variants.map(({ name }) => [name, []]));
  for (let round = 0; round < bench.rounds; round++) {
    const variants = round % 2 === 0 ? bench.variants : bench.variants.toReversed();
    await withContestants({ ...bench, variants }, async (contestants) => {
      for (const [name, own] of await inTurns({ ...bench, rounds: 1 }, contestants, label, loadOne)) {
        results.get(name)?.push(...own);
      }
    });
  }
  return results;
}
