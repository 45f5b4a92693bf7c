// The entry of work that is paid for later: made of what it cost, and of the entry of the exchange that started it.
import { basisRecords, lineRecord, readingRecord } from '../domain/basis.ts';
import type { Charge, Entry } from '../domain/entry.ts';
import type { ExchangeId } from '../domain/id.ts';
import type { Cost } from '../domain/price.ts';
import type { Reading } from '../domain/usage.ts';
import type { Bounds } from './bounds.ts';
import { nameOf } from './entry-of.ts';
import { tokensOf } from './tokens-of.ts';
import { spanAt } from './windows.ts';

/** Work that an exchange started, and that is paid for when it has ended. */
export interface LateCharge {
  /**
   * - `resolves`: says what the exchange left open.
   * - `adds`: costs something beside what was said already, as each day of storage does.
   * - `corrects`: takes the place of a guess at what the exchange cost, as an entry that answers its own. The settle key is not needed:
   *   what was measured is a guess no more.
   */
  readonly part: 'resolves' | 'adds' | 'corrects';
  /** Makes it the only one: such as `batch:<id>`. */
  readonly settleKey: string;
  /** That of the exchange which started the work. */
  readonly startedBy: ExchangeId;
  readonly cost: Cost;
  readonly readings: readonly Reading[];
  /** That did the work; null where several did, or where it is that of the exchange. */
  readonly model: string | null;
  readonly at: number;
  readonly servicePeriod: Entry['servicePeriod'];
}

/** What the work cost takes the place of what stood for it so far, or comes beside it in the window of its own moment. */
export function lateEntry(late: LateCharge, started: Entry, bounds: Bounds): Entry {
  const { cost, readings } = late;
  // What the exchange itself was priced by stands in its own entry.
  const { basis: _ofStarted, ...from } = started;
  const basis = basisRecords(cost.basis, readings);
  const { in: tokensIn, out: tokensOut } = tokensOf(readings.map(readingRecord));
  return {
    ...from,
    settleKey: late.settleKey,
    isExchange: false,
    model: nameOf(late.model) ?? started.model,
    state: cost.state,
    amount: cost.amount,
    why: cost.why,
    tokensIn,
    tokensOut,
    priceVersion: cost.priceVersion,
    lines: cost.lines.map(lineRecord),
    readings: readings.map(readingRecord),
    ...(basis !== undefined && { basis }),
    charges: started.charges.map((stood): Charge => {
      const budget = bounds.find(stood.budgetId)?.budget;
      if (budget === undefined) return { ...stood, amount: 0n };
      const isCounted = budget.countsEstimates || cost.state !== 'estimated';
      if (late.part === 'adds') {
        const more = budget.limitMoney === null ? BigInt(tokensIn + tokensOut) : isCounted ? (cost.amount ?? 0n) : 0n;
        return { ...stood, windowStart: spanAt(budget, late.at).start, amount: more };
      }
      const money = cost.amount === null ? stood.amount : isCounted ? cost.amount : 0n;
      const amount = budget.limitMoney === null ? BigInt(tokensIn + tokensOut) : money;
      return { ...stood, amount: amount - stood.amount };
    }),
    at: late.at,
    resolves:
      late.part === 'adds'
        ? null
        : { settleKey: started.settleKey, at: started.at, state: started.state, model: started.model },
    servicePeriod: late.servicePeriod,
  };
}
