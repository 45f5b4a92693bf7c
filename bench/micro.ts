// Single pieces of the hot path, in CPU time of this thread. A case is one line of `cases`.
import { formatTable } from './report.ts';
import { median } from './statistics.ts';

interface Case {
  readonly name: string;
  /** Prepares once, answers the operation. What the operation returns is looked at, so that it cannot be optimised away. */
  readonly prepare: () => (turn: number) => unknown;
}

const cases: readonly Case[] = [];

const SAMPLES = 5;
const SAMPLE_US = 100_000;

const nothingReturnsThis = Symbol();

function timeUs(operation: (turn: number) => unknown, turns: number): number {
  const before = process.threadCpuUsage();
  for (let turn = 0; turn < turns; turn++) if (operation(turn) === nothingReturnsThis) return 0;
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}

function costUs(operation: (turn: number) => unknown): number {
  let turns = 100;
  while (timeUs(operation, turns) < SAMPLE_US / 4) turns *= 2; // Warms up as well.
  turns *= 4;
  return median(Array.from({ length: SAMPLES }, () => timeUs(operation, turns) / turns));
}

export function measureMicro(): { name: string; us: number }[] {
  const results = cases.map(({ name, prepare }) => ({ name, us: costUs(prepare()) }));
  return results;
}

export function formatMicro(results: readonly { name: string; us: number }[]): string {
  const lines = results.map(({ name, us }) => [name, us.toFixed(3)]);
  return `### Pieces of the hot path\n\n${formatTable(['operation', 'CPU µs'], lines)}\n`;
}
