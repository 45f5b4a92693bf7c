// A cost of parts that are priced apart, such as a reply and the image that was drawn for it.
import type { Cost } from '../domain/price.ts';
import { weaker } from './price-layers.ts';

/** Two parts of one exchange that are priced apart. */
export function together(a: Cost, b: Cost): Cost {
  const basis = [...(a.basis ?? []), ...(b.basis ?? [])];
  if (a.amount === null || b.amount === null) {
    const [known, missing] = a.amount === null ? [b, a] : [a, b];
    return known.amount === null ? known : { ...known, state: 'partial', why: missing.why, basis };
  }
  const doubtful = a.state === 'priced' ? b : a;
  return {
    ...doubtful,
    amount: a.amount + b.amount,
    lines: [...a.lines, ...b.lines],
    basis,
    confidence: b.confidence === null ? a.confidence : weaker(a.confidence, b.confidence),
  };
}
