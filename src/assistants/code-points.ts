// Text measured in code points: the unit of all offsets in annotations, so that an emoji counts one here as it does in Python.

const SURROGATE = /[\ud800-\udfff]/;
const HIGH_SURROGATE_LAST = /[\ud800-\udbff]$/;

export function countCodePoints(text: string): number {
  if (!SURROGATE.test(text)) return text.length;
  let count = 0;
  for (const _point of text) count++;
  return count;
}

/** As `slice`, but by code points. */
export function sliceCodePoints(text: string, start: number, end?: number): string {
  if (!SURROGATE.test(text)) return text.slice(start, end);
  return Array.from(text).slice(start, end).join('');
}

/** How much of a piece may go out now: half of a pair of surrogates waits for its other half. */
export function wholeCodePoints(text: string): { readonly whole: string; readonly rest: string } {
  if (!HIGH_SURROGATE_LAST.test(text)) return { whole: text, rest: '' };
  return { whole: text.slice(0, -1), rest: text.slice(-1) };
}
