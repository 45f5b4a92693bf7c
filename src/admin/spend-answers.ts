// What was spent, as rows, as CSV or as FOCUS; and whether the sums that say so agree with the entries.
import { SYSTEM } from '../domain/audit.ts';
import type { Clock } from '../domain/clock.ts';
import type { KeyId } from '../domain/id.ts';
import { Refusal } from '../domain/refusal.ts';
import { NO_SUMS, sumsAsJson } from '../domain/rollup.ts';
import type { Keys } from '../keys/keys.ts';
import type { Drift, SpendGroup, SpendRow } from '../ledger/ledger.ts';
import type { AnswerParts, Answers } from './answers.ts';
import type { Answer, Call } from './contract.ts';
import { type Cell, csvLines } from './csv.ts';
import { FOCUS_COLUMNS, FOCUS_GROUPS, focusCells, focusRows } from './focus.ts';
import { SPEND_GROUPS } from './ledger-routes.ts';
import { type Names, openNames } from './names.ts';
import { CSV, OtherAnswer } from './route.ts';
import { saidOf, timeOf, timeText } from './views.ts';
import { type Visitor, teamOfList } from './visitor.ts';

const SPAN_MS = 30 * 24 * 3_600_000;
const ROWS_MAX = 100_000;
/** Of each kind of drift that is told. */
const TOLD_MAX = 100;

type Query = Call<'spend'>['query'];

export function spendAnswers({
  keys,
  ledger,
  audit,
  clock,
  health,
}: AnswerParts): Pick<Answers, 'spend' | 'findDrift' | 'mendLedger'> {
  return {
    async spend({ query }, visitor) {
      // What has ended is told, whether or not it was entered yet.
      await ledger.catchUp();
      const { from, to } = spanOf(query, clock);
      const where = await whereOf(query, visitor, keys);
      const names = openNames(keys);
      if (query.format === 'focus') {
        const groupBy = [...FOCUS_GROUPS, focusPeriod(query)];
        const context = { names, account: health().upstream_origin, tag: query.tag };
        const rows = spread(ledger.spendRows({ groupBy, from, to, where }), (row) => focusRows(row, context));
        return new OtherAnswer(CSV, csvLines(FOCUS_COLUMNS, rows, focusCells));
      }
      const groupBy = groupsOf(query);
      const viewOf = async (row: SpendRow) => ({ ...(await groupView(row, groupBy, names)), ...sumsAsJson(row) });
      if (query.format === 'csv') {
        const columns = columnsOf(groupBy);
        const cellsOf = async (row: SpendRow) => {
          const view: Readonly<Record<string, Cell>> = await viewOf(row);
          return columns.map((column) => view[column] ?? null);
        };
        return new OtherAnswer(CSV, csvLines(columns, ledger.spendRows({ groupBy, from, to, where }), cellsOf));
      }
      const first = Number(query.cursor ?? 0);
      const most = Math.min(Math.max(query.limit ?? ROWS_MAX, 1), ROWS_MAX);
      const { rows, totals, hasMore } = await ledger.report({ groupBy, from, to, where }, { first, most });
      if (hasMore && query.limit === undefined) {
        const message = `These are more than ${ROWS_MAX} rows; ask for them in pages (limit), as CSV (format=csv), for a shorter time, or for fewer groups.`;
        throw new Refusal('bad_request', message, { param: 'group_by' });
      }
      return {
        from: timeText(from),
        to: timeText(to),
        data: await Promise.all(rows.map(viewOf)),
        next_cursor: hasMore ? String(first + most) : null,
        totals: sumsAsJson(totals),
      };
    },
    findDrift: async () => driftView(await ledger.findDrift()),
    async mendLedger(_call, { actor }) {
      await ledger.replay();
      const drift = await ledger.findDrift();
      if (drift.windows.length === 0 && drift.rollups.length === 0) return driftView(drift);
      if (drift.lost > 0) {
        const message = `The records of ${drift.lost} exchanges are lost from the data dir, and the sums still have them: mending would take back what was spent. Nothing was mended.`;
        throw new Refusal('conflict', message);
      }
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

async function whereOf(query: Query, visitor: Visitor, keys: Keys) {
  // A key stays with its team: with it, only that team's sums are read.
  const key = query.key_id === undefined ? null : await keys.find(query.key_id as KeyId);
  return saidOf({
    key: query.key_id,
    team: teamOfList(visitor, query.team_id) ?? key?.teamId,
    user: query.user_id,
    model: query.model,
    endpoint: query.endpoint,
    tag: query.tag,
  });
}

function focusPeriod({ group_by }: Query): 'day' | 'hour' {
  if (group_by === undefined || group_by === 'day') return 'day';
  if (group_by === 'hour') return 'hour';
  const message = `group_by is ${group_by}; with format=focus write day or hour, or leave it out: the other groups are all there.`;
  throw new Refusal('bad_request', message, { param: 'group_by' });
}

/** What each row becomes, in the same pieces. */
async function* spread<R, S>(
  pieces: AsyncIterable<readonly R[]>,
  become: (row: R) => Promise<readonly S[]>,
): AsyncGenerator<readonly S[]> {
  for await (const piece of pieces) yield (await Promise.all(piece.map(become))).flat();
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

const SUM_FIELDS = Object.keys(sumsAsJson(NO_SUMS));

/** What stands beside an id. */
const NAME_FIELDS: Readonly<Partial<Record<SpendGroup, string>>> = {
  key: 'key_name',
  team: 'team_name',
  user: 'user_name',
};

function columnsOf(groupBy: readonly SpendGroup[]): string[] {
  return [...groupBy.flatMap((group) => [GROUP_FIELDS[group], NAME_FIELDS[group] ?? []].flat()), ...SUM_FIELDS];
}

async function groupView({ group }: SpendRow, groupBy: readonly SpendGroup[], names: Names) {
  const view: Record<string, string | null> = {};
  for (const name of groupBy) {
    const text = groupText(name, group[name]);
    view[GROUP_FIELDS[name]] = text;
    if (name !== 'key' && name !== 'team' && name !== 'user') continue;
    view[NAME_FIELDS[name] ?? ''] = text === null ? null : ((await names[name](text))?.name ?? null);
  }
  return view;
}

function groupText(name: SpendGroup, value: string | number | undefined): string | null {
  if (typeof value !== 'number') return value === undefined || value === '' ? null : value;
  const time = timeText(value);
  return name === 'day' ? time.slice(0, 10) : `${time.slice(0, 19)}Z`;
}

function driftView({ entries, lost, windows, rollups }: Drift): Answer<'findDrift'> {
  return {
    entries,
    lost,
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
      ...sumsAsJson(rollup),
    })),
  };
}
