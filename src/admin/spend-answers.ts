// What was spent, as rows or as CSV; and whether the sums that say so agree with the entries.
import { SYSTEM } from '../domain/audit.ts';
import type { Clock } from '../domain/clock.ts';
import type { RollupSums } from '../domain/ledger-store.ts';
import { formatUsd } from '../domain/money.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Drift, SpendGroup, SpendRow } from '../ledger/ledger.ts';
import type { AnswerParts, Answers } from './answers.ts';
import type { Answer, Call } from './contract.ts';
import { csvText } from './csv.ts';
import { SPEND_GROUPS } from './ledger-routes.ts';
import { CSV, OtherAnswer } from './route.ts';
import { saidOf, timeOf, timeText } from './views.ts';
import { type Visitor, teamOfList } from './visitor.ts';

const SPAN_MS = 30 * 24 * 3_600_000;
const ROWS_MAX = 100_000;
/** Of each kind of drift that is told. */
const TOLD_MAX = 100;

type Query = Call<'spend'>['query'];

export function spendAnswers({
  ledger,
  audit,
  clock,
}: AnswerParts): Pick<Answers, 'spend' | 'findDrift' | 'mendLedger'> {
  return {
    async spend({ query }, visitor) {
      // What has ended is told, whether or not it was entered yet.
      await ledger.catchUp();
      const groupBy = groupsOf(query);
      const { from, to } = spanOf(query, clock);
      const { rows, totals } = await ledger.report({ groupBy, from, to, where: whereOf(query, visitor) });
      if (rows.length > ROWS_MAX) {
        const message = `These are ${rows.length} rows, more than ${ROWS_MAX}; ask for a shorter time, or for fewer groups.`;
        throw new Refusal('bad_request', message, { param: 'group_by' });
      }
      const data = rows.map((row) => ({ ...groupView(row, groupBy), ...sumsView(row) }));
      if (query.format === 'csv') return new OtherAnswer(CSV, csvText(columnsOf(groupBy), data));
      return { from: timeText(from), to: timeText(to), data, totals: sumsView(totals) };
    },
    findDrift: async () => driftView(await ledger.findDrift()),
    async mendLedger(_call, { actor }) {
      const drift = await ledger.findDrift();
      if (drift.windows.length === 0 && drift.rollups.length === 0) return driftView(drift);
      await ledger.mend(drift);
      await audit.append({ actor, action: 'mended', kind: 'ledger', id: SYSTEM.id, before: null, after: drift });
      return driftView(drift);
    },
  };
}

function groupsOf({ group_by }: Query): readonly SpendGroup[] {
  const named = new Set(group_by?.split(','));
  return SPEND_GROUPS.filter((group) => named.has(group));
}

function spanOf({ from, to }: Query, clock: Clock): { readonly from: number; readonly to: number } {
  const end = timeOf(to) ?? clock.now();
  const start = timeOf(from) ?? end - SPAN_MS;
  if (start <= end) return { from: start, to: end };
  throw new Refusal('bad_request', `from is ${from ?? timeText(start)}, which is after ${timeText(end)}.`, {
    param: 'from',
  });
}

function whereOf(query: Query, visitor: Visitor) {
  return saidOf({
    key: query.key_id,
    team: teamOfList(visitor, query.team_id),
    user: query.user_id,
    model: query.model,
    endpoint: query.endpoint,
    tag: query.tag,
  });
}

const GROUP_FIELDS = {
  key: 'key_id',
  team: 'team_id',
  user: 'user_id',
  model: 'model',
  endpoint: 'endpoint',
  tag: 'tag',
  day: 'day',
  hour: 'hour',
} as const satisfies Record<SpendGroup, string>;

const SUM_FIELDS = Object.keys(
  sumsView({
    exchanges: 0,
    measured: 0n,
    estimated: 0n,
    partial: 0,
    pending: 0,
    unpriced: 0,
    free: 0,
    tokensIn: 0,
    tokensOut: 0,
  }),
);

function columnsOf(groupBy: readonly SpendGroup[]): string[] {
  return [...groupBy.map((group) => GROUP_FIELDS[group]), ...SUM_FIELDS];
}

function groupView({ group }: SpendRow, groupBy: readonly SpendGroup[]) {
  return Object.fromEntries(groupBy.map((name) => [GROUP_FIELDS[name], groupText(name, group[name])]));
}

function groupText(name: SpendGroup, value: string | number | undefined): string | null {
  if (typeof value !== 'number') return value === undefined || value === '' ? null : value;
  const time = timeText(value);
  return name === 'day' ? time.slice(0, 10) : `${time.slice(0, 19)}Z`;
}

function sumsView(sums: RollupSums): Answer<'spend'>['totals'] {
  return {
    exchanges: sums.exchanges,
    measured_usd: formatUsd(sums.measured),
    estimated_usd: formatUsd(sums.estimated),
    partial: sums.partial,
    pending: sums.pending,
    unpriced: sums.unpriced,
    free: sums.free,
    tokens_in: sums.tokensIn,
    tokens_out: sums.tokensOut,
  };
}

function driftView({ entries, windows, rollups }: Drift): Answer<'findDrift'> {
  return {
    entries,
    window_count: windows.length,
    rollup_count: rollups.length,
    windows: windows.slice(0, TOLD_MAX).map(({ budgetId, account, windowStart, amount }) => ({
      budget_id: budgetId,
      account,
      window_start: timeText(windowStart),
      amount: amount.toString(),
    })),
    rollups: rollups.slice(0, TOLD_MAX).map((rollup) => ({
      grain: rollup.grain,
      at: timeText(rollup.at),
      team_id: rollup.team,
      key_id: rollup.key,
      user_id: rollup.user,
      model: rollup.model,
      endpoint: rollup.endpoint,
      tag: rollup.tag,
      ...sumsView(rollup),
    })),
  };
}
