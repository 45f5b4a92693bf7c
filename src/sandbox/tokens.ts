// The sandbox's own rule for counting: no tokenizer, and the same on every machine.

/** Four characters make a token: near enough to try things, and never zero. */
export function countTokens(text: string): number {
  return Math.max(1, Math.ceil(text.length / 4));
}
