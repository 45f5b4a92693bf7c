// Tables, headings and lines of a page in Markdown, as far as prices stand in them. Tables of HTML are read too.

export interface Section {
  /** From the page's own down to the closest. */
  readonly headings: readonly string[];
  readonly tables: readonly Table[];
  /** All other lines that hold a dollar sign. */
  readonly lines: readonly string[];
}

export interface Table {
  /** Lower case, without markup; of a header in two rows both. */
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What stands for a heading in pages with tabs: bold lines, and labels of tabs. */
const TAB =
  /^(?:\*\*([^*|]{2,60})\*\*:?|<tab\w*[^>]*(?:label|value|title)="([^"]{2,60})"[^>]*>|:::\s*tab\s+(.{2,60}))$/i;
const TAB_LEVEL = 7;

export function readSections(text: string): readonly Section[] {
  const sections: Section[] = [];
  let headings: { readonly level: number; readonly text: string }[] = [];
  let tables: Table[] = [];
  let lines: string[] = [];
  const end = (): void => {
    if (tables.length > 0 || lines.length > 0)
      sections.push({ headings: headings.map((each) => each.text), tables, lines });
    [tables, lines] = [[], []];
  };
  const all = withoutHtmlTables(text).split(/\r?\n/);
  for (let i = 0; i < all.length; i++) {
    const line = all[i]!.trim();
    const heading = /^(#{1,6})\s+(.*?)#*$/.exec(line);
    const tab = TAB.exec(line);
    if (heading !== null || tab !== null) {
      end();
      const level = heading === null ? TAB_LEVEL : heading[1]!.length;
      const label = plain(heading?.[2] ?? tab?.[1] ?? tab?.[2] ?? tab?.[3] ?? '');
      headings = [...headings.filter((each) => each.level < level), { level, text: label }];
    } else if (isRow(line) && isRow(all[i + 1] ?? '')) {
      const block: string[] = [];
      while (isRow(all[i] ?? '')) block.push(all[i++]!.trim());
      i--;
      const table = tableOf(block.map(cellsOf));
      if (table !== null) tables.push(table);
    } else if (line.includes('$')) lines.push(plain(line));
  }
  end();
  return sections;
}

function isRow(line: string): boolean {
  return line.includes('|') && !/^\s*(```|#)/.test(line);
}

function cellsOf(line: string): string[] {
  const inner = line.replace(/^\|/, '').replace(/\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => plain(cell.replaceAll('\\|', '|')));
}

function isDivider(cells: readonly string[]): boolean {
  return cells.length > 0 && cells.every((cell) => /^:?-{1,}:?$/.test(cell));
}

function tableOf(block: readonly (readonly string[])[]): Table | null {
  const [first, ...rest] = block.filter((cells) => !isDivider(cells));
  if (first === undefined) return null;
  let header = first.map((cell) => cell.toLowerCase());
  let rows = rest;
  // A second row of the header: words such as input and output, and no price.
  const second = rows[0];
  if (
    second !== undefined &&
    second.some((cell) => /\b(in|out)put\b/i.test(cell)) &&
    !second.some((cell) => /\d/.test(cell))
  ) {
    let group = '';
    header = second.map((cell, column) => {
      group = header[column] === undefined || header[column] === '' ? group : header[column];
      return `${column === 0 && cell === '' ? '' : /^(models?|name)$/.test(group) ? '' : group} ${cell.toLowerCase()}`.trim();
    });
    if (header[0] === '') header[0] = first[0]?.toLowerCase() || 'model';
    rows = rows.slice(1);
  }
  return { header, rows };
}

/** Without links, marks and footnotes. */
function plain(text: string): string {
  return text
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/<sup>.*?<\/sup>|\[\^?\d+\]/gi, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/[*`_~](?=\S)|(?<=\S)[*`_~]/g, '')
    .replaceAll(/&nbsp;|\s+/g, ' ')
    .replaceAll('\\$', '$')
    .trim();
}

function withoutHtmlTables(text: string): string {
  return text.replaceAll(/<table[^]*?<\/table>/gi, (table) => {
    const rows = [...table.matchAll(/<tr[^>]*>([^]*?)<\/tr>/gi)].map(([, row]) => {
      const cells = [...row!.matchAll(/<t[hd][^>]*>([^]*?)<\/t[hd]>/gi)];
      return `| ${cells.map(([, cell]) => plain(cell!).replaceAll('|', ' ')).join(' | ')} |`;
    });
    return `\n\n${rows.join('\n')}\n\n`;
  });
}
