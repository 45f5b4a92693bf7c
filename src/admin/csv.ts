// Rows as CSV (RFC 4180). Names in it were chosen by callers, and a table must not take one for a formula.

export type Cell = string | number | null;

/** A header, and then rows as they come: no more of them is kept than one piece. */
export async function* csvLines<R>(
  columns: readonly string[],
  pieces: AsyncIterable<readonly R[]>,
  cellsOf: (row: R) => readonly Cell[] | Promise<readonly Cell[]>,
): AsyncGenerator<string> {
  yield line(columns);
  for await (const piece of pieces) {
    let text = '';
    for (const row of piece) {
      text += line(await cellsOf(row));
      if (text.length < CHUNK_CHARACTERS) continue;
      yield text;
      text = '';
    }
    if (text !== '') yield text;
  }
}

const CHUNK_CHARACTERS = 32_768;

function line(cells: readonly Cell[]): string {
  return `${cells.map((cell) => cellText(cell ?? '')).join(',')}\r\n`;
}

function cellText(value: string | number): string {
  const text = typeof value === 'string' && MAY_BE_FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Spreadsheets compute what begins so. A negative amount is a number and stays one. */
const MAY_BE_FORMULA = /^[=+@\t\r]|^-(?!\d+(\.\d+)?$)/;
