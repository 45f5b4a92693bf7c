// What there is to do about the price book in force.
import { startOf } from '../openai/price-book.ts';
import { type BookFinding, verifyBook } from '../openai/price-review.ts';
import type { OpenPrices } from '../openai/prices.ts';

export interface PriceFinding extends Omit<BookFinding, 'kind'> {
  readonly layer: 'shipped' | 'refreshed' | 'overrides';
  /** `shadowed`: a newer row of a new version is hidden by an older one that was refreshed before. */
  readonly kind: BookFinding['kind'] | 'shadowed';
}

/** @param now wall clock, milliseconds */
export function verifyPrices({ layers }: OpenPrices, now: number): readonly PriceFinding[] {
  const { shipped, refreshed, overrides } = layers;
  // A page that was read again speaks for the rows that came from it before.
  const reread = refreshed === null ? shipped : { ...shipped, sources: { ...shipped.sources, ...refreshed.sources } };
  const found: PriceFinding[] = verifyBook(reread, now).map((each) => ({ ...each, layer: 'shipped' }));
  for (const row of shipped.models) {
    const mine = refreshed?.models.filter((each) => each.model === row.model && each.tier === row.tier) ?? [];
    const isShadowed = mine.length > 0 && mine.every((each) => startOf(each) < startOf(row));
    if (!isShadowed) continue;
    const message = `has a row from ${row.effectiveFrom} on that an earlier refresh hides; refresh again`;
    found.push({ layer: 'refreshed', kind: 'shadowed', of: row.model, message });
  }
  // An operator's book is a part of a book: what it does not name is no gap.
  const own = overrides === null ? [] : verifyBook(overrides, now).filter(({ kind }) => kind === 'stale');
  return [...found, ...own.map((each): PriceFinding => ({ ...each, layer: 'overrides' }))];
}
