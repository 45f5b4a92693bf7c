// The entry of what the upstream billed otherwise than is known here. It belongs to nobody: no team's and no key's history is touched.
import type { Entry } from '../domain/entry.ts';
import type { Money } from '../domain/money.ts';
import { nextPlace } from './chain.ts';

/** A day's difference in the bill of a model or a tool. */
export interface BilledDrift {
  /** Milliseconds since 1970, UTC. */
  readonly day: number;
  readonly subject: string;
  /** What the upstream billed more. */
  readonly amount: Money;
}

const DAY_MS = 86_400_000;

/** All entries of one day and thing begin with it. */
export function driftPrefix({ day, subject }: BilledDrift): string {
  return `drift:${new Date(day).toISOString().slice(0, 10)}:${subject}:`;
}

/** @param before how many there are of the same day and thing */
export function driftEntry(drift: BilledDrift, before: number, at: number): Entry {
  const { day, subject, amount } = drift;
  return {
    settleKey: nextPlace(driftPrefix(drift), before),
    kind: 'adjustment',
    isExchange: false,
    exchangeId: null,
    teamId: null,
    keyId: null,
    userId: null,
    endpoint: null,
    model: subject,
    tags: [],
    state: 'priced',
    amount,
    why: 'billed_otherwise',
    tokensIn: 0,
    tokensOut: 0,
    priceVersion: null,
    lines: [],
    readings: [],
    charges: [],
    at,
    resolves: null,
    servicePeriod: { from: day, to: day + DAY_MS },
  };
}
