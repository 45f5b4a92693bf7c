// Places of a run's events. Stored ones have whole numbers, given by the store; deltas stand between two of those.

/** The place of a delta: this much behind that of the stored event before it, times its number. */
const DELTA_PLACE = 1e-6;
/** Where deltas stand that one reader alone was told, to make up for what he missed. */
const MADE_UP_PLACE = 0.5;

/** @param number from 1 */
export function placeOfDelta(base: number, number: number): number {
  return base + number * DELTA_PLACE;
}

/** @param number from 1 */
export function placeOfMadeUp(base: number, number: number): number {
  return base + MADE_UP_PLACE + number * DELTA_PLACE;
}

/** The stored event that a place is at or behind. */
export function baseOf(place: number): number {
  return Math.floor(place);
}

/** How many deltas behind its base a place tells of; for one that was made up for, more than there ever are. */
export function deltasAt(place: number): number {
  return Math.round((place - Math.floor(place)) / DELTA_PLACE);
}
