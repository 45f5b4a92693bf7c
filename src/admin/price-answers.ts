// What is answered about prices: those in force, what they make of an exchange, and how they change.
import type { Entry } from '../domain/entry.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { ExchangeId } from '../domain/id.ts';
import { type Money, formatUsd } from '../domain/money.ts';
import { settleKeyOf, isWorkKind } from '../domain/pending-work.ts';
import { Refusal } from '../domain/refusal.ts';
import { patternMatcher } from '../openai/model-names.ts';
import { type PriceBook, type PriceRow, type Rates, perOf, ratesOf, startOf } from '../openai/price-book.ts';
import { LAYER_NAMES, type LayerName, trustIn } from '../openai/price-layers.ts';
import type { OpenPrices } from '../openai/prices.ts';
import {
  type CostToExplain,
  type ExplainedCost,
  type RefreshPlan,
  costToExplain,
  explainCost,
  planRefresh,
  reprice,
  verifyPrices,
} from '../prices/prices.ts';
import type { AnswerParts, Answers } from './answers.ts';
import type { Answer, Call } from './contract.ts';
import type { priceRoutes } from './price-routes.ts';
import { timeOf, timeText } from './views.ts';
import { missing, sees } from './visitor.ts';

type RowView = Answer<'listPrices'>['data'][number];

const PRICING_PAGE = 'https://developers.openai.com/api/docs/pricing';
/** Of `verify`: the rest is worth knowing, and no fault of the book. */
const UNSOUND = new Set(['stale', 'gap', 'shadowed']);

export function priceAnswers({
  prices,
  unpriced,
  ledger,
  audit,
  spool,
  clock,
}: AnswerParts): Pick<Answers, keyof typeof priceRoutes> {
  const plan = ({ documents, url = PRICING_PAGE }: Call<'diffPrices'>['body']): RefreshPlan => {
    try {
      return planRefresh({ documents, url, listed: prices.listed(), now: clock.now() });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Refusal('bad_request', `The pages cannot be read: ${why}.`, { param: 'documents', cause });
    }
  };

  return {
    listPrices({ query }) {
      const at = timeOf(query.at) ?? clock.now();
      const current = prices.current();
      const matches = query.model === undefined ? () => true : patternMatcher(query.model);
      const named = query.model === undefined || query.model.includes('*') ? namesIn(current) : [query.model];
      const data = named.filter(matches).flatMap((model) => inForce(current, model, at) ?? []);
      return { price_version: current.version, at: timeText(at), data };
    },
    findPrice({ id, query }) {
      const at = timeOf(query.at) ?? clock.now();
      const current = prices.current();
      const row = inForce(current, id, at);
      const rows = LAYER_NAMES.flatMap((layer) => {
        const book = current.layers[layer];
        const mine = book?.models.filter(({ model }) => model === id || model === row?.row) ?? [];
        return mine.toSorted(latestFirst).map((each) => rowView(current, id, layer, each));
      });
      if (rows.length === 0 && row === null) return missing('price of', id);
      return {
        model: id,
        price_version: current.version,
        in_force: row,
        rows,
        max_output_tokens: current.maxOutputTokens(id),
        retires_on: current.retiresOn(id),
      };
    },
    verifyPrices() {
      const current = prices.current();
      const findings = verifyPrices(current, clock.now());
      return { price_version: current.version, sound: !findings.some(({ kind }) => UNSOUND.has(kind)), findings };
    },
    async listUnpriced() {
      const seen = await unpriced.list();
      return {
        data: seen.map(({ model, endpoint, reason, count, firstSeenAt, lastSeenAt }) => ({
          model: model === '' ? null : model,
          endpoint,
          reason,
          exchanges: count,
          first_seen_at: timeText(firstSeenAt),
          last_seen_at: timeText(lastSeenAt),
        })),
      };
    },
    diffPrices: ({ body }) => planView(plan(body), prices.current(), false),
    async refreshPrices({ body }, { actor }) {
      const { seq } = prices.refreshed();
      const planned = plan(body);
      const { book, doubts } = planned;
      if (book === null || (doubts.length > 0 && body.force !== true))
        return planView(planned, prices.current(), false);
      const before = prices.current().version;
      if (!(await prices.refresh(book, seq))) {
        throw new Refusal(
          'conflict',
          'Prices were refreshed by somebody else just now; look at the differences again.',
        );
      }
      const after = { version: prices.current().version, differences: planned.differences };
      await audit.append({
        actor,
        action: 'refreshed',
        kind: 'prices',
        id: 'refreshed',
        before: { version: before },
        after,
      });
      return planView(planned, prices.current(), true);
    },
    async repriceEntries({ body }, { actor }) {
      const [from, to] = [Date.parse(body.from), Date.parse(body.to)];
      if (from >= to) throw new Refusal('bad_request', 'to is not after from; write a later time.', { param: 'to' });
      const isDryRun = body.dry_run === true;
      const { changes, before, after, priceVersion, without, ...counts } = await reprice(ledger, prices, {
        from,
        to,
        isDryRun,
      });
      const answer = {
        dry_run: isDryRun,
        price_version: priceVersion,
        ...counts,
        without_price: without,
        before_usd: formatUsd(before),
        after_usd: formatUsd(after),
        changes: changes.map(({ entry, ...change }) => ({
          settle_key: entry.settleKey,
          exchange_id: entry.exchangeId,
          model: entry.model,
          at: timeText(entry.at),
          before_usd: usdOf(change.before),
          after_usd: formatUsd(change.after),
        })),
      };
      if (!isDryRun && counts.changed > 0) {
        const told = { from: body.from, to: body.to, changed: counts.changed, priceVersion };
        await audit.append({ actor, action: 'repriced', kind: 'ledger', id: 'entries', before: null, after: told });
      }
      return answer;
    },
    async explainCost({ id }, visitor) {
      await ledger.catchUp();
      const record = spool.findRecord(id as ExchangeId);
      const entry = await ledger.findEntry(id);
      const teamId = record?.team_id ?? entry?.teamId ?? null;
      if ((record === null && entry === null) || !sees(visitor, teamId)) return missing('exchange', id);
      const cost = record === null ? costToExplain(entry!) : costOfRecord(record);
      const later = entry === null ? [] : (await ledger.standingOf(entry)).adjustments;
      const started = await Promise.all(
        (record?.objects ?? []).map(({ kind, id: name }) =>
          isWorkKind(kind) ? ledger.findEntry(settleKeyOf(kind, name)) : Promise.resolve(null),
        ),
      );
      const answered = await Promise.all(
        started
          .filter((each) => each !== null)
          .map(async (each) => [each, ...(await ledger.standingOf(each)).adjustments]),
      );
      const entries = [...answered.flat(), ...later];
      const amounts = [entry?.amount ?? cost.amount, ...entries.map(({ amount }) => amount)].filter(
        (each) => each !== null,
      );
      return {
        exchange_id: id,
        at: record?.at ?? timeText(entry!.at),
        model: record === null ? entry!.model : (record.model_served ?? record.model_requested),
        endpoint: record?.endpoint ?? entry?.endpoint ?? null,
        state: record?.cost.state ?? entry!.state,
        ...explainedView(cost, await explainCost(cost, prices)),
        total_usd: amounts.length === 0 ? null : formatUsd(amounts.reduce((sum, each) => sum + each, 0n)),
        entries: entries.map(entryView),
      };
    },
  };
}

function namesIn({ layers }: OpenPrices): readonly string[] {
  const names = LAYER_NAMES.flatMap((layer) => layers[layer]?.models.map(({ model }) => model) ?? []);
  return [...new Set(names)].toSorted();
}

const STANDARD = { serviceTier: null, host: 'api.openai.com' };

function inForce(prices: OpenPrices, model: string, at: number): RowView | null {
  const found = prices.rowInForce({ ...STANDARD, model, at });
  return found === null ? null : rowView(prices, model, found.layer, found.row);
}

function rowView(prices: OpenPrices, model: string, layer: LayerName, row: PriceRow): RowView {
  const confidence = row.confidence ?? trustIn(layer);
  const { long } = row;
  return {
    model,
    row: row.model,
    layer,
    tier: row.tier ?? null,
    host: row.host ?? null,
    effective_from: row.effectiveFrom ?? null,
    effective_to: row.effectiveTo ?? null,
    rates: ratesView(row.rates, confidence),
    long:
      long === undefined
        ? null
        : {
            above_input_tokens: long.aboveInputTokens,
            rates: long.rates === undefined ? null : ratesView(long.rates, long.confidence ?? confidence),
            input_factor: long.inputFactor ?? null,
            output_factor: long.outputFactor ?? null,
          },
    confidence,
    source: sourceView(prices.layers[layer], row.source),
    retires_on: prices.retiresOn(model),
  };
}

function ratesView(rates: Rates, confidence: string): RowView['rates'] {
  const views = ratesOf(rates).map(([meter, rate]) => {
    const variants = Object.entries(rate.variants ?? {}).map(([name, { amount }]) => [name, amount] as const);
    const view = { usd: rate.amount ?? null, per: perOf(meter, rate), confidence: rate.confidence ?? confidence };
    return [meter, variants.length === 0 ? view : { ...view, variants: Object.fromEntries(variants) }] as const;
  });
  return Object.fromEntries(views);
}

function sourceView(book: PriceBook | null, name: string | undefined): RowView['source'] {
  const source = name === undefined ? undefined : book?.sources[name];
  return name === undefined || source === undefined ? null : { name, url: source.url, checked_on: source.checkedOn };
}

function latestFirst(a: PriceRow, b: PriceRow): number {
  return startOf(a) === startOf(b) ? 0 : startOf(a) > startOf(b) ? -1 : 1;
}

function planView(
  { source, rates, models, differences, unread, missing: absent, doubts }: RefreshPlan,
  { version }: OpenPrices,
  applied: boolean,
): Answer<'diffPrices'> {
  return {
    source,
    price_version: version,
    rates,
    models,
    differences: differences.map(({ of, what, before, after, per, changePercent }) => ({
      of,
      what,
      before_usd: before,
      after_usd: after,
      per,
      change_percent: changePercent,
    })),
    unread,
    missing: absent,
    doubts,
    applied,
  };
}

function costOfRecord({ cost, usage, team_id, key_id }: ExchangeRecord): CostToExplain {
  return {
    ...cost,
    amount: cost.pico_usd === null ? null : BigInt(cost.pico_usd),
    basis: cost.basis,
    readings: usage.readings ?? [],
    teamId: team_id,
    keyId: key_id,
  };
}

function explainedView(cost: CostToExplain, { lines, isReproduced, now }: ExplainedCost) {
  return {
    why: cost.why,
    pico_usd: cost.amount?.toString() ?? null,
    usd: usdOf(cost.amount),
    price_version: cost.price_version,
    lines: lines.map(({ line, text, origin }) => ({
      ...line,
      usd: formatUsd(BigInt(line.pico_usd)),
      text,
      layer: origin?.layer ?? null,
      row: origin?.row ?? null,
      effective_from: origin?.effectiveFrom ?? null,
      confidence: origin?.confidence ?? null,
      source:
        origin === null || origin.source === null
          ? null
          : { name: origin.source.name, url: origin.source.url, checked_on: origin.source.checkedOn },
    })),
    reproduced: isReproduced,
    now:
      now === null
        ? null
        : {
            price_version: now.priceVersion,
            state: now.state,
            pico_usd: now.amount?.toString() ?? null,
            usd: usdOf(now.amount),
          },
  };
}

function entryView({ settleKey, at, state, why, amount, priceVersion }: Entry) {
  const pico_usd = amount?.toString() ?? null;
  return {
    settle_key: settleKey,
    at: timeText(at),
    state,
    why,
    pico_usd,
    usd: usdOf(amount),
    price_version: priceVersion,
  };
}

function usdOf(amount: Money | null): string | null {
  return amount === null ? null : formatUsd(amount);
}
