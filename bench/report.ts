// Figures for people: Markdown tables, and how Throughway stands against its targets.
import { RATES } from './relay.ts';
import type { Section } from './side-by-side.ts';

export function formatFigure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function formatTable(header: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = header.map((cell, column) => Math.max(cell.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const draw = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? `${'-'.repeat(width + 2)}` : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [draw(header), rule, ...lines.map(draw)].join('\n');
}

export function formatSection(section: Section): string {
  const keys = Object.keys(section.columns);
  const lines = Object.entries(section.rows).map(([name, row]) => [name, ...keys.map((key) => formatFigure(row[key]))]);
  return `### ${section.title}\n\n${formatTable(['variant', ...Object.values(section.columns)], lines)}\n`;
}

interface Target {
  readonly measure: string;
  readonly section: string;
  readonly column: string;
  readonly must: number;
  readonly aim: number;
  readonly better: 'less' | 'more';
}

const targets: readonly Target[] = [
  {
    measure: 'CPU µs per 1 KB exchange, records on',
    section: 'json',
    column: 'cpu_us',
    must: 90,
    aim: 70,
    better: 'less',
  },
  { measure: '× nginx CPU', section: 'json', column: 'x_nginx', must: 4.5, aim: 3.5, better: 'less' },
  {
    measure: '× throughput of Portkey',
    section: 'json',
    column: 'x_faster_than_portkey',
    must: 5,
    aim: 7,
    better: 'more',
  },
  {
    measure: `added p50 µs at ${RATES[0]}/s`,
    section: `rate_${RATES[0]}`,
    column: 'added_p50_us',
    must: 300,
    aim: 180,
    better: 'less',
  },
  {
    measure: `added p99 µs at ${RATES[0]}/s`,
    section: `rate_${RATES[0]}`,
    column: 'added_p99_us',
    must: 5000,
    aim: 2000,
    better: 'less',
  },
  {
    measure: 'CPU µs per event at 20k events/s',
    section: 'sse_1000',
    column: 'cpu_us',
    must: 30,
    aim: 24,
    better: 'less',
  },
  { measure: 'RSS idle MB', section: 'sse_1000', column: 'idle_mb', must: 110, aim: 80, better: 'less' },
  { measure: 'RSS MB with 1,000 streams', section: 'sse_1000', column: 'peak_mb', must: 260, aim: 180, better: 'less' },
  {
    measure: 'RSS MB with a slow reader on 400 MB',
    section: 'transfer',
    column: 'slow_peak_mb',
    must: 220,
    aim: 150,
    better: 'less',
  },
  {
    measure: '100 MB down, MB/s',
    section: 'transfer',
    column: 'down_mb_per_second',
    must: 300,
    aim: 600,
    better: 'more',
  },
  { measure: '100 MB up, MB/s', section: 'transfer', column: 'up_mb_per_second', must: 300, aim: 600, better: 'more' },
];

export function formatTargets(sections: readonly Section[]): string {
  const lines = targets.flatMap(({ measure, section, column, must, aim, better }) => {
    const value = sections.find(({ name }) => name === section)?.rows['throughway']?.[column];
    if (value === undefined || !Number.isFinite(value)) return [];
    const meets = (bound: number): boolean => (better === 'less' ? value <= bound : value >= bound);
    const verdict = meets(aim) ? 'aim reached' : meets(must) ? 'met' : 'MISSED';
    const sign = better === 'less' ? '≤' : '≥';
    return [[measure, formatFigure(value), `${sign} ${must}`, `${sign} ${aim}`, verdict]];
  });
  if (lines.length === 0) return '';
  return `### Targets of Throughway\n\n${formatTable(['measure', 'measured', 'must', 'aim', 'verdict'], lines)}\n`;
}
