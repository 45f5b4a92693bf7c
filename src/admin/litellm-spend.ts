// LiteLLM's /spend/logs and /global/spend/report, from records and from the ledger's sums.
import type { Clock } from '../domain/clock.ts';
import { METERS } from '../domain/usage.ts';
import { type Answer, LIST_LIMIT_MAX, type QueryOf } from './contract.ts';
import { numberOf, sumOf } from './litellm-budgets.ts';
import type { Lookup } from './litellm-lookup.ts';
import { LitellmReply } from './litellm-reply.ts';
import type { LitellmAnswers, LitellmCall } from './litellm.ts';
import { saidOf, timeText } from './views.ts';

type Exchange = Answer<'findExchange'>;
type Row = Answer<'spend'>['data'][number];
type LogsQuery = LitellmCall<'litellmSpendLogs'>['query'];

const DAY_MS = 24 * 3_600_000;
const REPORT_DAYS = 30;

export function litellmSpend(clock: Clock): Pick<LitellmAnswers, 'litellmSpendLogs' | 'litellmSpendReport'> {
  return {
    async litellmSpendLogs({ query }, look) {
      if (query.request_id !== undefined) {
        const found = await look.ask('findExchange', { id: query.request_id });
        return new LitellmReply([await logRow(found, look)]);
      }
      const filter = await filterOf(query, look);
      const isSummed =
        query.start_date !== undefined && query.end_date !== undefined && !/^false$/i.test(query.summarize ?? '');
      return new LitellmReply(isSummed ? await daysOf(filter, look) : await rowsOf(filter, look));
    },
    async litellmSpendReport({ query }, look) {
      const { group_by = 'team', api_key, internal_user_id, team_id } = query;
      const today = timeText(clock.now()).slice(0, 10);
      const start_date = query.start_date ?? timeText(clock.now() - REPORT_DAYS * DAY_MS).slice(0, 10);
      const { from, to } = spanOf({ start_date, end_date: query.end_date ?? today });
      const where = {
        from,
        to,
        key_id: api_key === undefined ? undefined : (await look.key(api_key)).id,
        user_id: internal_user_id === undefined ? undefined : (await look.user(internal_user_id)).id,
        team_id: team_id === undefined ? undefined : (await look.team(team_id)).id,
      };
      const byKey = group_by === 'api_key' || api_key !== undefined || internal_user_id !== undefined;
      return new LitellmReply(byKey ? await keysReport(where, look) : await teamsReport(where, look));
    },
  };
}

type Where = Omit<QueryOf<'spend'>, 'group_by'>;

async function filterOf({ api_key, user_id, start_date, end_date }: LogsQuery, look: Lookup) {
  return saidOf({
    key_id: api_key === undefined ? undefined : (await look.key(api_key)).id,
    user_id: user_id === undefined ? undefined : (await look.user(user_id)).id,
    ...spanOf({ start_date, end_date }),
  });
}

/** The end is a day that counts too, or a moment. Times without an offset are UTC. */
function spanOf({ start_date, end_date }: Pick<LogsQuery, 'start_date' | 'end_date'>) {
  const from = start_date === undefined ? undefined : timeText(timeOf(start_date));
  const to = end_date === undefined ? undefined : timeText(timeOf(end_date) + (isDay(end_date) ? DAY_MS : 0));
  return { from, to };
}

function isDay(text: string): boolean {
  return text.length === 10;
}

function timeOf(text: string): number {
  const written = text.replace(' ', 'T');
  return Date.parse(isDay(written) || /(Z|[+-]\d\d:?\d\d)$/i.test(written) ? written : `${written}Z`);
}

async function daysOf(where: Where, look: Lookup) {
  const { data } = await look.ask('spend', { query: { ...where, group_by: 'day,user,model' } });
  const days = Map.groupBy(data, ({ day }) => day ?? '');
  return Promise.all(
    [...days].map(async ([startTime, rows]) => ({
      startTime,
      spend: total(rows),
      users: await spendBy(rows, async ({ user_id }) => (user_id ? look.userName(user_id) : '')),
      models: await spendBy(rows, async ({ model }) => model ?? ''),
      unpriced: rows.reduce((count, row) => count + row.unpriced, 0),
    })),
  );
}

async function spendBy(rows: readonly Row[], nameOf: (row: Row) => Promise<string>): Promise<Record<string, number>> {
  const named = await Promise.all(rows.map(async (row) => ({ name: await nameOf(row), row })));
  const groups = Map.groupBy(named, ({ name }) => name);
  return Object.fromEntries([...groups].map(([name, those]) => [name, total(those.map(({ row }) => row))]));
}

/** In binary fractions, as LiteLLM's own sums are. /admin/v1/spend is exact. */
function total(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => sum + sumOf(row), 0);
}

async function rowsOf(where: Where, look: Lookup) {
  const { data } = await look.ask('listExchanges', { query: { ...where, limit: String(LIST_LIMIT_MAX) } });
  return Promise.all(data.map((exchange) => logRow(exchange, look)));
}

async function logRow(exchange: Exchange, look: Lookup) {
  const { id, at, status, cost, tags, team_id, user_id, timings_us } = exchange;
  const [prompt_tokens, completion_tokens] = tokensOf(exchange.usage.readings);
  return {
    request_id: id,
    call_type: 'pass_through_endpoint',
    api_key: exchange.key_id,
    // Null where it is unknown: that is not 0.
    spend: numberOf(cost.usd),
    cost_state: cost.state,
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens === null || completion_tokens === null ? null : prompt_tokens + completion_tokens,
    startTime: at,
    endTime: timeText(Date.parse(at) + Math.round(timings_us.total / 1000)),
    model: exchange.model_served ?? exchange.model_requested ?? '',
    user: user_id === null ? null : await look.userName(user_id),
    team_id: team_id === null ? null : await look.teamName(team_id),
    end_user: exchange.end_user,
    request_tags: tags,
    status: status !== null && status < 400 ? 'success' : 'failure',
    metadata: { status_code: status, endpoint: exchange.endpoint, ending: exchange.ending, refusal: exchange.refusal },
  };
}

/** Null where nothing is known of it. */
function tokensOf(readings: unknown): readonly [number | null, number | null] {
  if (!Array.isArray(readings)) return [null, null];
  let [tokensIn, tokensOut] = [0, 0];
  // The store gives records as they were written.
  for (const { meter, quantity } of readings as { readonly meter: keyof typeof METERS; readonly quantity: string }[]) {
    if (METERS[meter]?.unit !== 'token') continue;
    if (meter.startsWith('output')) tokensOut += Number(quantity);
    else tokensIn += Number(quantity);
  }
  return [tokensIn, tokensOut];
}

async function teamsReport(where: Where, look: Lookup) {
  const { data } = await look.ask('spend', { query: { ...saidOf(where), group_by: 'day,team,key,model' } });
  const days = Map.groupBy(data, ({ day }) => day ?? '');
  return Promise.all(
    [...days].map(async ([day, rows]) => ({
      group_by_day: `${day}T00:00:00+00:00`,
      teams: await Promise.all(
        [...Map.groupBy(rows, ({ team_id }) => team_id ?? '')].map(async ([team, those]) => ({
          team_name: team === '' ? '' : await look.teamName(team),
          total_spend: total(those),
          metadata: those.map((row) => ({
            model: row.model ?? '',
            spend: sumOf(row),
            total_tokens: row.tokens_in + row.tokens_out,
            api_key: row.key_id ?? '',
          })),
        })),
      ),
    })),
  );
}

async function keysReport(where: Where, look: Lookup) {
  const { data } = await look.ask('spend', { query: { ...saidOf(where), group_by: 'key,model' } });
  return [...Map.groupBy(data, ({ key_id }) => key_id ?? '')].map(([api_key, rows]) => ({
    api_key,
    total_cost: total(rows),
    total_input_tokens: rows.reduce((sum, row) => sum + row.tokens_in, 0),
    total_output_tokens: rows.reduce((sum, row) => sum + row.tokens_out, 0),
    model_details: rows.map((row) => ({
      model: row.model ?? '',
      total_cost: sumOf(row),
      total_input_tokens: row.tokens_in,
      total_output_tokens: row.tokens_out,
    })),
  }));
}
