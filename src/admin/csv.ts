// Rows as CSV (RFC 4180) with a header row. Names in it were chosen by callers, and a table must not take one for a formula.

export function csvText(
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string | number | null>>[],
): string {
  return [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ''))]
    .map((cells) => `${cells.map(cellOf).join(',')}\r\n`)
    .join('');
}

function cellOf(value: string | number): string {
  const text = typeof value === 'string' && MAY_BE_FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Spreadsheets compute what begins so. A negative amount is a number and stays one. */
const MAY_BE_FORMULA = /^[=+@\t\r]|^-(?!\d+(\.\d+)?$)/;
