// Whether the upstream counted what went through: requests and tokens of each model in a day that ended a moment ago, hour by hour. What
// it bills is not known by then; traffic that goes past this gateway is.
import type { Ledger } from '../ledger/ledger.ts';
import { USAGE_PATHS } from '../openai/organization.ts';
import type { Bucket, OrganizationReads } from './organization-reads.ts';
import { Sides } from './sides.ts';

const HOUR_MS = 3_600_000;
const SPAN_MS = 24 * HOUR_MS;
/** The upstream tells of an hour a while after it is over. */
const LATE_MS = 2 * HOUR_MS;
/** Exchanges stand in the hour of their beginning here, and in that of their end there: so few tokens mean nothing. */
const TOKENS_MIN = 10_000;

export interface Miscounted {
  readonly model: string;
  readonly ledgerRequests: number;
  readonly upstreamRequests: number;
  readonly ledgerTokens: number;
  readonly upstreamTokens: number;
}

export interface UsageChecked {
  /** What the upstream counted more than went through, of all models together; negative where it is less. */
  readonly driftTokens: number;
  /** Models that differ by more than the threshold. */
  readonly models: readonly Miscounted[];
}

export interface UsageCheckParts {
  readonly reads: OrganizationReads;
  readonly ledger: Pick<Ledger, 'catchUp' | 'entriesBetween'>;
  /** Leaves out what is not this gateway's. */
  readonly ours: (bucket: Bucket) => Bucket;
}

/** @throws Refusal where the upstream does not tell */
export async function checkUsage(
  { reads, ledger, ours }: UsageCheckParts,
  now: number,
  thresholdPercent: number,
): Promise<UsageChecked> {
  const to = now - LATE_MS - (now % HOUR_MS);
  const from = to - SPAN_MS;
  const sides = new Sides();
  for (const { path, subject, groups } of USAGE_PATHS) {
    // Tools and storage are not counted in tokens.
    if (subject !== null) continue;
    for (const bucket of await reads.hours(path, groups, from, to))
      sides.addUsage(ours({ ...bucket, day: from }), subject);
  }
  await ledger.catchUp();
  for await (const page of ledger.entriesBetween({ from, to }))
    for (const entry of page) if (entry.at < to && entry.kind === 'charge') sides.addEntry(entry, from);
  const models: Miscounted[] = [];
  let driftTokens = 0;
  for (const { subject, ledger: own, upstream } of sides.pairs()) {
    const told = upstream.tokens ?? 0;
    const drift = told - own.tokens;
    driftTokens += drift;
    if (Math.abs(drift) < TOKENS_MIN || Math.abs(drift) <= (thresholdPercent / 100) * Math.max(told, own.tokens))
      continue;
    models.push({
      model: subject,
      ledgerRequests: own.requests,
      upstreamRequests: upstream.requests,
      ledgerTokens: own.tokens,
      upstreamTokens: told,
    });
  }
  return { driftTokens, models };
}
