// How a model's name in a reply leads to its rows in the price book, and never to those of another family.

/** `gpt-4o-2024-08-06` without its day; null where there is none. */
export function withoutSnapshot(model: string): string | null {
  const match = /^(.+)-\d{4}-\d\d-\d\d$/.exec(model);
  return match === null ? null : match[1]!;
}

/** What a fine-tuned model, `ft:gpt-4o-mini-2024-07-18:org::id`, was made from; null for any other. */
export function fineTunedFrom(model: string): string | null {
  return model.startsWith('ft:') ? (model.split(':')[1] ?? null) : null;
}

/**
 * The name under which there are rows: the name itself; what it is another name of, or what it is a dated snapshot of;
 * for a fine-tuned model the row of its base.
 */
export function nameWithRows(
  model: string,
  hasRows: (name: string) => boolean,
  aliasOf: (name: string) => string | null,
): string | null {
  const base = fineTunedFrom(model);
  if (base !== null && !hasRows(model)) {
    const named = nameWithRows(base, (name) => hasRows(`ft:${name}`), aliasOf);
    return named === null ? null : `ft:${named}`;
  }
  for (const name of [model, withoutSnapshot(model)]) {
    if (name === null) continue;
    if (hasRows(name)) return name;
    const other = aliasOf(name);
    // One step: an alias of an alias could go round in circles.
    const named =
      other === null ? null : [other, withoutSnapshot(other)].find((each) => each !== null && hasRows(each));
    if (typeof named === 'string') return named;
  }
  return null;
}

/** @param pattern text in which `*` stands for any characters */
export function patternMatcher(pattern: string): (text: string) => boolean {
  if (!pattern.includes('*')) return (text) => text === pattern;
  const escaped = pattern.split('*').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  const regExp = new RegExp(`^${escaped.join('.*')}$`, 's');
  return (text) => regExp.test(text);
}
