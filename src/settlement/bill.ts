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

export class BillOfParts {
  readonly #work: PendingWork;
  readonly #pricedAt: PricedAt;
  readonly #lines = new Map<string, Mutable<CostLine>>();
  readonly #readings = new Map<string, Mutable<Reading>>();
  readonly #models = new Set<string>();
  /** Why a part is not, or not wholly, priced; each once. */
  readonly #lacks = new Set<string>();
  #parts = 0;
  /** The last one that was asked. */
  #query: CostBasis | null = null;
  #amount = 0n;
  #hasAmount = false;
  #isEstimated = false;
  #priceVersion: string | null = null;
  #confidence: Confidence | null = null;

  constructor(work: PendingWork, pricedAt: PricedAt) {
    this.#work = work;
    this.#pricedAt = pricedAt;
  }

  add({ usage, model, serviceTier, mode = 'standard', isSum = false }: Part): void {
    const { readings, problems, source } = usage;
    if (model !== null) this.#models.add(model);
    if (readings === null) {
      this.#lacks.add('no_usage');
      return;
    }
    const { startedAt: at, teamId, keyId, asked } = this.#work;
    const { prices, host } = this.#pricedAt;
    const query = { model, at, serviceTier, mode, host, teamId, keyId, readings, isSum };
    const priced = prices.price(query);
    this.#parts++;
    this.#query = { ...query, isEstimated: source === 'estimated' };
    const cost = mode === 'batch' ? priced : markUnreportedTier(priced, asked?.serviceTier ?? null, serviceTier);
    for (const reading of readings) this.#addReading(reading);
    if (cost.why !== null) this.#lacks.add(cost.why);
    if (problems.length > 0) this.#lacks.add('usage_does_not_add_up');
    if (cost.amount === null) return;
    this.#hasAmount = true;
    this.#isEstimated ||= source === 'estimated';
    this.#amount += cost.amount;
    this.#priceVersion = cost.priceVersion;
    if (cost.confidence !== null) this.#confidence = weaker(this.#confidence, cost.confidence);
    for (const line of cost.lines) this.#addLine(model, line);
  }

  #addReading(reading: Reading): void {
    const name = `${reading.meter} ${reading.variant ?? ''}`;
    const sum = this.#readings.get(name);
    if (sum === undefined) this.#readings.set(name, { ...reading });
    else sum.quantity += reading.quantity;
  }

  #addLine(model: string | null, line: CostLine): void {
    const factors = line.factors.map(({ reason, factor }) => `${reason} ${factor}`).join();
    const name = [model, line.meter, line.rate, line.per, factors].join('\n');
    const sum = this.#lines.get(name);
    if (sum === undefined) {
      this.#lines.set(name, { ...line, ...(model !== null && { model }) });
      return;
    }
    sum.quantity += line.quantity;
    sum.amount += line.amount;
  }

  total(): Bill {
    const isMixed = this.#models.size > 1;
    const lines = [...this.#lines.values()].map(({ model, ...line }) => (isMixed ? { ...line, model: model! } : line));
    const [model = null] = isMixed ? [] : this.#models;
    const why = this.#lacks.size === 0 ? null : [...this.#lacks].join(';');
    const readings = [...this.#readings.values()];
    // Of a sum of many the questions would be longer than the answer.
    const basis = this.#parts === 1 && this.#query?.isSum !== true ? [{ ...this.#query!, readings }] : undefined;
    if (why !== null && !this.#hasAmount) {
      const cost: Cost = { state: 'unpriced', amount: null, lines, priceVersion: null, confidence: null, why };
      return { cost, readings, model };
    }
    const state = why !== null ? 'partial' : this.#isEstimated ? 'estimated' : this.#hasAmount ? 'priced' : 'free';
    const cost: Cost = {
      state,
      amount: this.#amount,
      lines,
      priceVersion: this.#priceVersion,
      confidence: this.#confidence,
      why: state === 'estimated' ? 'usage_not_reported' : why,
      ...(basis !== undefined && { basis }),
    };
    return { cost, readings, model };
  }
}
