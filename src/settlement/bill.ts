// What work cost, put together of parts that are priced apart: the lines of a batch, the models of an eval. Parts of the same model,
// meter and rate become one line.
import type { PendingWork } from '../domain/pending-work.ts';
import type { Confidence, Cost, CostBasis, CostLine, PriceQuery, Prices } from '../domain/price.ts';
import type { Reading, Usage } from '../domain/usage.ts';
import { weaker } from '../openai/price-layers.ts';
import { markUnreportedTier } from '../openai/served-tier.ts';

export interface Bill {
  readonly cost: Cost;
  readonly readings: readonly Reading[];
  /** The only one; null where there were several, or none. */
  readonly model: string | null;
}

export interface PricedAt {
  readonly prices: Prices;
  /** Of the upstream. */
  readonly host: string;
}

/** One part: what was used, by which model, and how it was served. */
export interface Part extends Partial<Pick<PriceQuery, 'mode' | 'isSum'>> {
  readonly usage: Pick<Usage, 'readings' | 'problems' | 'source'>;
  readonly model: string | null;
  readonly serviceTier: string | null;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Parts that ask the price book the same but for their quantities, and so are asked for together. */
interface Group {
  readonly query: Omit<CostBasis, 'readings'>;
  readonly readings: Readings;
  /** Whether each of them is an exchange with long-context rates. */
  readonly isLong: boolean;
  parts: number;
}

export class BillOfParts {
  readonly #work: PendingWork;
  readonly #pricedAt: PricedAt;
  readonly #groups = new Map<string, Group>();
  /** Most input of a part that was found not to be long, by all else that a price depends on. */
  readonly #shortUpTo = new Map<string, bigint>();
  /** Why a part is not, or not wholly, priced; each once. */
  readonly #lacks = new Set<string>();

  constructor(work: PendingWork, pricedAt: PricedAt) {
    this.#work = work;
    this.#pricedAt = pricedAt;
  }

  add({ usage, model, serviceTier, mode = 'standard', isSum = false }: Part): void {
    const { readings, problems, source } = usage;
    if (problems.length > 0) this.#lacks.add('usage_does_not_add_up');
    if (readings === null) {
      this.#lacks.add('no_usage');
      return;
    }
    const { startedAt: at, teamId, keyId } = this.#work;
    const { host } = this.#pricedAt;
    const isEstimated = source === 'estimated';
    const query = { model, at, serviceTier, mode, host, teamId, keyId, isEstimated, isSum };
    const name = [model, serviceTier, mode, isEstimated, isSum].join('\n');
    const isLong = !isSum && this.#isLong(name, { ...query, readings });
    const nameOfGroup = `${name}\n${isLong}`;
    let group = this.#groups.get(nameOfGroup);
    if (group === undefined) {
      group = { query, readings: new Readings(), isLong, parts: 0 };
      this.#groups.set(nameOfGroup, group);
    }
    group.parts++;
    group.readings.add(readings);
  }

  /** A sum of many is long as no exchange is: whether they are is asked of each. */
  #isLong(name: string, query: PriceQuery): boolean {
    const { prices } = this.#pricedAt;
    const tokens = inputOf(query.readings);
    if (tokens <= (this.#shortUpTo.get(name) ?? -1n)) return false;
    if (prices.price(query).amount !== prices.price({ ...query, isSum: true }).amount) return true;
    this.#shortUpTo.set(name, tokens);
    return false;
  }

  total(): Bill {
    const groups = [...this.#groups.values()];
    const models = new Set(groups.flatMap(({ query }) => query.model ?? []));
    const all = new Readings();
    const lacks = new Set(this.#lacks);
    const lines: CostLine[] = [];
    const basis: CostBasis[] = [];
    let [amount, priceVersion, confidence]: [bigint | null, string | null, Confidence | null] = [null, null, null];
    for (const group of groups) {
      const readings = group.readings.list();
      all.add(readings);
      const question = questionOf(group, readings);
      basis.push(question);
      const cost = this.#price(question);
      if (cost.why !== null) lacks.add(cost.why);
      if (cost.amount === null) continue;
      amount = (amount ?? 0n) + cost.amount;
      priceVersion = cost.priceVersion;
      if (cost.confidence !== null) confidence = weaker(confidence, cost.confidence);
      addLines(lines, cost.lines, models.size > 1 ? group.query.model : null);
    }
    const [model = null] = models.size > 1 ? [] : models;
    const readings = all.list();
    const told = { lines, priceVersion, confidence, ...(basis.length > 0 && { basis: besideTold(basis, readings) }) };
    const why = lacks.size === 0 ? null : [...lacks].join(';');
    if (amount === null && why !== null) return { cost: { ...told, state: 'unpriced', amount, why }, readings, model };
    const isEstimated = groups.some(({ query }) => query.isEstimated === true);
    const state = why !== null ? 'partial' : isEstimated ? 'estimated' : amount !== null ? 'priced' : 'free';
    const cost: Cost = {
      ...told,
      state,
      amount: amount ?? 0n,
      why: state === 'estimated' ? 'usage_not_reported' : why,
    };
    return { cost, readings, model };
  }

  #price(question: CostBasis): Cost {
    const cost = this.#pricedAt.prices.price(question);
    const asked = this.#work.asked?.serviceTier ?? null;
    return question.mode === 'batch' ? cost : markUnreportedTier(cost, asked, question.serviceTier);
  }
}

/** Several that are not long must not be taken for one that is. */
function questionOf({ query, isLong, parts }: Group, readings: readonly Reading[]): CostBasis {
  const { isSum = false, ...rest } = query;
  return { ...rest, readings, ...((isSum || (parts > 1 && !isLong)) && { isSum: true }) };
}

/** Of a single question the readings are not written twice. */
function besideTold(basis: readonly CostBasis[], readings: readonly Reading[]): readonly CostBasis[] {
  return basis.length === 1 ? basis.map((question) => ({ ...question, readings })) : basis;
}

/** Of the same model, meter and rate they become one. */
function addLines(all: CostLine[], lines: readonly CostLine[], model: string | null): void {
  for (const line of lines) {
    const at = all.findIndex((each) => (each.model ?? null) === model && isSameRate(each, line));
    const found = all[at];
    if (found === undefined) {
      all.push({ ...line, ...(model !== null && { model }) });
      continue;
    }
    const { quantity, amount } = found;
    all[at] = { ...found, quantity: quantity + line.quantity, amount: amount + line.amount };
  }
}

function isSameRate(a: CostLine, b: CostLine): boolean {
  const text = ({ factors }: CostLine) => factors.map(({ reason, factor }) => `${reason} ${factor}`).join();
  return a.meter === b.meter && a.rate === b.rate && a.per === b.per && text(a) === text(b);
}

function inputOf(readings: readonly Reading[]): bigint {
  let tokens = 0n;
  for (const { meter, quantity } of readings) if (meter.startsWith('input_')) tokens += quantity;
  return tokens;
}

/** Sums by meter and variant. */
class Readings {
  readonly #sums = new Map<string, Mutable<Reading>>();

  add(readings: readonly Reading[]): void {
    for (const reading of readings) {
      const name = `${reading.meter} ${reading.variant ?? ''}`;
      const sum = this.#sums.get(name);
      if (sum === undefined) this.#sums.set(name, { ...reading });
      else sum.quantity += reading.quantity;
    }
  }

  list(): readonly Reading[] {
    return [...this.#sums.values()];
  }
}
