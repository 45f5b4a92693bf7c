// Patterns of names, such as `gpt-*`: a star stands for any characters, also none. Everything else stands for itself.

/** Whether a name matches one of the patterns. Prepared once, then asked often. */
export function matcherOf(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.includes('*')) return () => true;
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const globs = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split('*'));
  return (name) => exact.has(name) || globs.some((pieces) => matchesPieces(name, pieces));
}

/** Whether all that the narrow pattern matches is matched by the wide one: a star is only covered by a star. */
export function covers(wide: string, narrow: string): boolean {
  const pieces = wide.split('*');
  return pieces.length === 1 ? wide === narrow : matchesPieces(narrow, pieces);
}

/** Each piece where it first fits: in one pass, whatever the pattern. */
function matchesPieces(name: string, pieces: readonly string[]): boolean {
  const first = pieces[0]!;
  const last = pieces.at(-1)!;
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (let i = 1; i < pieces.length - 1; i++) {
    const piece = pieces[i]!;
    const found = name.indexOf(piece, at);
    if (found === -1 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
