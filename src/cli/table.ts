// Tables for people: aligned columns, and nothing in them that a terminal would obey.

/** @param rows the first one names the columns */
export function table(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(harmless));
  const widths = (shown[0] ?? []).map((_, column) => Math.max(...shown.map((row) => row[column]?.length ?? 0)));
  return shown.map((row) => `${alignRow(row, widths)}\n`).join('');
}

/** One row, for tables that grow line by line. */
export function alignRow(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((text, column) => harmless(text).padEnd(widths[column] ?? 0))
    .join('  ')
    .trimEnd();
}

/** Names, paths and models come from elsewhere: a control character in them must not move the reader's cursor. */
function harmless(text: string): string {
  return text.replaceAll(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
