// Reads rates from OpenAI's own pages, as they are served in Markdown. Layouts change: what looks like a price and is not understood
// is told, never guessed.
import { type Meter, METERS } from '../domain/usage.ts';
import { USUAL_PER, canonicalTier } from './price-book.ts';
import { type Section, type Table, readSections } from './price-tables.ts';

export interface Page {
  /** Its file or URL; `models/<name>` tells of one model. */
  readonly name: string;
  readonly text: string;
}

/** What a rate is for. */
export interface RatePlace {
  /** Null for what costs the same with every model. */
  readonly model: string | null;
  /** As the price book calls it; null is the standard one. */
  readonly tier: string | null;
  readonly mode: 'standard' | 'batch';
  /** For exchanges above the threshold of long context. */
  readonly isLong: boolean;
  readonly meter: Meter;
}

export interface ReadRate extends RatePlace {
  /** US dollars for the usual number of units; null where the page has a dash. */
  readonly amount: string | null;
}

export interface Reading {
  readonly rates: readonly ReadRate[];
  /** What has a price and was not understood, a sentence each. */
  readonly unread: readonly string[];
}

export function readPricePages(pages: readonly Page[]): Reading {
  const rates = new Map<string, ReadRate>();
  const unread: string[] = [];
  for (const { name, text } of pages) {
    const ofPage = /(?:^|\/)models\/([a-z0-9][\w.-]*?)(?:\.md)?$/i.exec(name)?.[1]?.toLowerCase() ?? null;
    for (const section of readSections(text)) {
      const context = contextOf(section.headings, ofPage);
      for (const table of section.tables) readTable(table, context);
      for (const line of section.lines) readLine(line, context);
    }

    function readTable({ header, rows }: Table, context: Context): void {
      const named = header.findIndex((cell) => /^(models?( name)?|name|snapshot)$/.test(cell));
      const tools = header.findIndex((cell) => /^tools?$/.test(cell));
      for (const row of rows) {
        const first = row[Math.max(named, tools, 0)] ?? '';
        if (!row.some(isPrice)) continue;
        if (tools !== -1 && named === -1) readCells([first], row, null, context);
        else if (named !== -1) readModelRow(header, row, named, context);
        // A page of one model has a line for each kind of token.
        else if (context.model === null) tell(`${name}: a table without models: ${shown(row)}`);
        else if (row.filter(isPrice).length === 1) readCells([first], row, context.model, context);
        else readRow(header, row, -1, context.model, context);
      }
    }

    function readModelRow(header: readonly string[], row: readonly string[], named: number, context: Context): void {
      const written = (row[named] ?? '').toLowerCase();
      const isLong = context.isLong || isLongLabel(written);
      const models = written
        .replaceAll(/\([^)]*\)/g, '')
        .split(/,|\s\/\s|\sand\s/)
        .map((model) => model.trim())
        .filter((model) => model !== '');
      if (models.length === 0 || models.some((model) => !/^(ft:)?[a-z0-9][\w.-]*$/.test(model))) {
        tell(`${name}: no model is named "${written.slice(0, 80)}": ${shown(row)}`);
        return;
      }
      for (const model of models) readRow(header, row, named, model, { ...context, isLong });
    }

    function readRow(
      header: readonly string[],
      row: readonly string[],
      named: number,
      model: string,
      context: Context,
    ): void {
      const ownTier = tierIn(row[header.findIndex((cell) => /^(service )?tier$|^processing$/.test(cell))] ?? '');
      const kind = row[header.findIndex((cell) => /^(modality|type|tokens)$/.test(cell))] ?? '';
      const place = { ...context, ...ownTier, modality: modalityIn(kind) ?? context.modality };
      for (const [column, cell] of row.entries()) {
        if (column === named) continue;
        readCell(header[column] ?? '', cell, model, place, row);
      }
    }

    function readCells(
      labels: readonly string[],
      row: readonly string[],
      model: string | null,
      context: Context,
    ): void {
      for (const cell of row) if (isPrice(cell)) readCell(labels.join(' ').toLowerCase(), cell, model, context, row);
    }

    function readLine(line: string, context: Context): void {
      const match = /^(?:[-*+]\s+)?([A-Za-z][\w ()>,-]{2,60}?)\s*(?::|\u2014|\|)\s*(\$.*)$/.exec(line);
      if (match !== null && context.model !== null)
        readCell(match[1]!.toLowerCase(), match[2]!, context.model, context, [line]);
    }

    function readCell(
      label: string,
      cell: string,
      model: string | null,
      context: Context,
      row: readonly string[],
    ): void {
      if (/estimat|example|context window|max|knowledge/.test(label)) return;
      const price = priceIn(cell);
      const meter = meterOf(label, cell, model, context);
      if (meter === null || price === undefined) {
        if (isPrice(cell)) tell(`${name}: not understood: "${label}" of ${model ?? 'a tool'}: ${shown(row)}`);
        return;
      }
      const amount = price === null ? null : inUsualUnits(price, meter);
      if (price !== null && amount === null) {
        tell(`${name}: an unknown unit: ${shown(row)}`);
        return;
      }
      const { tier, mode } = context;
      const place: RatePlace = { model, tier, mode, isLong: context.isLong || isLongLabel(label), meter };
      const known = rates.get(JSON.stringify(place));
      if (known !== undefined && known.amount !== amount && known.amount !== null && amount !== null) {
        tell(`${name}: two rates of ${meter} for ${model ?? 'a tool'}: ${known.amount} and ${amount}`);
      }
      if (known === undefined || known.amount === null) rates.set(JSON.stringify(place), { ...place, amount });
    }
  }
  return { rates: [...rates.values()], unread };

  function tell(problem: string): void {
    if (!unread.includes(problem)) unread.push(problem);
  }
}

type Modality = 'text' | 'audio' | 'image';

interface Context {
  readonly model: string | null;
  readonly tier: string | null;
  readonly mode: RatePlace['mode'];
  readonly modality: Modality | null;
  readonly isLong: boolean;
}

/** What the headings above say: the closest first. */
function contextOf(headings: Section['headings'], model: string | null): Context {
  const labels = headings.toReversed().map((heading) => heading.toLowerCase());
  const tier = labels.map(tierIn).find((each) => each !== null) ?? { tier: null, mode: 'standard' as const };
  const modality = labels.map(modalityIn).find((each) => each !== null) ?? null;
  return { model, ...tier, modality, isLong: labels.some(isLongLabel) };
}

function tierIn(label: string): Pick<Context, 'tier' | 'mode'> | null {
  const word = /\b(standard|default|batch|flex|priority|fast|ultrafast|scale)\b/i.exec(label)?.[1]?.toLowerCase();
  if (word === undefined) return null;
  return word === 'batch' ? { tier: null, mode: 'batch' } : { tier: canonicalTier(word), mode: 'standard' };
}

function modalityIn(label: string): Modality | null {
  const word = /\b(text|embeddings?|audio|speech|image)\b/i.exec(label)?.[1]?.toLowerCase();
  if (word === undefined) return null;
  return word === 'audio' || word === 'speech' ? 'audio' : word === 'image' ? 'image' : 'text';
}

function isLongLabel(label: string): boolean {
  return /\blong\b|>\s*\d+\s*k|above \d+|over \d+/i.test(label) && !/\bshort\b/i.test(label);
}

const METERS_OF: Readonly<Record<Modality, Readonly<Record<string, Meter>>>> = {
  text: {
    input: 'input_text',
    cached: 'input_text_cached',
    written: 'input_text_written',
    written12h: 'input_text_written_12h',
    output: 'output_text',
  },
  audio: { input: 'input_audio', cached: 'input_audio_cached', output: 'output_audio' },
  image: { input: 'input_image', cached: 'input_image_cached', output: 'output_image' },
};

function meterOf(label: string, cell: string, model: string | null, { modality }: Context): Meter | null {
  if (model === null) return toolOf(label);
  if (/\bcharacters?\b/i.test(`${label} ${cell}`)) return 'speech_characters';
  if (/\bminutes?\b/i.test(`${label} ${cell}`)) return 'transcribed_seconds';
  if (/\btraining\b/.test(label)) return 'training';
  const kind = /\bwrites?\b|\bwritten\b/.test(label)
    ? /\b12\b|\b12 ?h/.test(label)
      ? 'written12h'
      : 'written'
    : /\bcached?\b/.test(label)
      ? 'cached'
      : /\boutputs?\b/.test(label)
        ? 'output'
        : /\binputs?\b/.test(label) || (/^(price|cost|rate)/.test(label) && /embedding/.test(model))
          ? 'input'
          : null;
  return kind === null ? null : (METERS_OF[modalityIn(label) ?? modality ?? 'text'][kind] ?? null);
}

function toolOf(label: string): Meter | null {
  if (/web search/i.test(label)) return /preview/i.test(label) ? 'web_search_preview_calls' : 'web_search_calls';
  if (/file search/i.test(label)) return /storage/i.test(label) ? 'vector_store_byte_days' : 'file_search_calls';
  return null;
}

function isPrice(cell: string): boolean {
  return /\$\s*\d/.test(cell) || /^\d+\.\d+$/.test(cell.trim());
}

/** Undefined for what is no price, null for a dash. */
function priceIn(cell: string): { readonly amount: string; readonly unit: string } | null | undefined {
  const text = cell.trim();
  if (/^(|-|\u2013|\u2014|n\/a|not available)$/i.test(text)) return null;
  if (/^free$/i.test(text)) return { amount: '0', unit: '' };
  const match = /^\$?\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d{1,9})?\s*(.*)$/.exec(text);
  if (match === null) return undefined;
  return { amount: match[1]!.replaceAll(',', '') + (match[2] ?? ''), unit: match[3]!.toLowerCase() };
}

/** Null where the unit is not that of the meter. */
function inUsualUnits({ amount, unit }: { amount: string; unit: string }, meter: Meter): string | null {
  const { unit: counted } = METERS[meter];
  const words = unit.replaceAll(/[()*/,.]|\bper\b/g, ' ').trim();
  if (words === '') return shortest(amount);
  const match =
    /^(1\s?m|1 ?000 ?000|1\s?k|1 ?000|1|million)?\s*(tokens?|characters?|calls?|minutes?|min|gb[ -]?day|gb|images?)?\b/.exec(
      words,
    );
  if (match === null || (match[1] === undefined && match[2] === undefined)) return null;
  const count = (match[1] ?? '1')
    .replaceAll(/\s/g, '')
    .replace('million', '1000000')
    .replace('1m', '1000000')
    .replace('1k', '1000');
  const noun = match[2] ?? '';
  const isOurs = noun === '' || noun.startsWith(counted === 'second' ? 'min' : counted === 'byte_day' ? 'gb' : counted);
  if (!isOurs) return null;
  const per = counted === 'second' ? '60' : counted === 'byte_day' ? USUAL_PER.byte_day : count;
  return per === USUAL_PER[counted] ? shortest(amount) : null;
}

/** `2.50` and `2.5` are the same rate. */
function shortest(amount: string): string {
  return amount.includes('.') ? amount.replace(/\.?0+$/, '') : amount;
}

function shown(row: readonly string[]): string {
  return row.join(' | ').slice(0, 160);
}
