// Reads rates from OpenAI's own pages, as they are served in Markdown. Layouts change: what looks like a price and is not understood
// is told, never guessed.
import type { Meter } from '../domain/usage.ts';
import { withoutSnapshot } from './model-names.ts';
import { canonicalTier } from './price-book.ts';
import { type Section, type Table, readSections } from './price-tables.ts';
import { inUnitsOf } from './price-units.ts';

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
  /** A size that has a rate of its own, as the price book calls it; null where none is named. */
  readonly variant: string | null;
}

export interface ReadRate extends RatePlace {
  /** US dollars for `per` units; null where the page has a dash. */
  readonly amount: string | null;
  readonly per: string;
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
        // Sizes of containers have a column of their own.
        if (tools !== -1 && named === -1)
          readCells(
            row.filter((cell) => !isPrice(cell)),
            row,
            null,
            context,
          );
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
      const sizeColumn = header.findIndex((cell) => /\b(size|resolution)\b/.test(cell));
      const sizes = sizesIn(row[sizeColumn] ?? '');
      for (const [column, cell] of row.entries()) {
        if (column === named || column === sizeColumn) continue;
        for (const variant of sizes.length === 0 ? [null] : sizes)
          readCell(header[column] ?? '', cell, model, { ...place, variant }, row);
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
      const told = inUnitsOf(meter, price, label);
      if (told === null) {
        tell(`${name}: an unknown unit: ${shown(row)}`);
        return;
      }
      const { amount, per } = told;
      const { tier, mode, variant } = context;
      const place: RatePlace = {
        model: modelOf(model, meter, context),
        tier,
        mode,
        isLong: context.isLong || isLongLabel(label),
        meter,
        variant: VARIED.has(meter) ? variant : null,
      };
      const known = rates.get(JSON.stringify(place));
      const isOther = known !== undefined && (known.amount !== amount || known.per !== per);
      if (isOther && known.amount !== null && amount !== null) {
        tell(`${name}: two rates of ${meter} for ${model ?? 'a tool'}: ${known.amount} and ${amount}`);
      }
      if (known === undefined || known.amount === null) rates.set(JSON.stringify(place), { ...place, amount, per });
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
  /** Training, and use of what came of it. */
  readonly isFineTuning: boolean;
  readonly variant: string | null;
}

/** What the headings above say: the closest first. */
function contextOf(headings: Section['headings'], model: string | null): Context {
  const labels = headings.toReversed().map((heading) => heading.toLowerCase());
  const tier = labels.map(tierIn).find((each) => each !== null) ?? { tier: null, mode: 'standard' as const };
  const modality = labels.map(modalityIn).find((each) => each !== null) ?? null;
  const isFineTuning = labels.some((label) => /fine[\s-]?tun/.test(label));
  return { model, ...tier, modality, isLong: labels.some(isLongLabel), isFineTuning, variant: null };
}

/** Meters whose rate may depend on a size. */
const VARIED: ReadonlySet<Meter> = new Set(['video_seconds', 'images']);
/** Those of what is made from a model: all else under a heading of fine-tuning is of the model that was made. */
const OF_TRAINING: ReadonlySet<Meter> = new Set(['training', 'reinforcement_seconds']);
/** They cost the same with every model. */
const OF_TOOLS: ReadonlySet<Meter> = new Set(['live_active_seconds', 'live_standby_seconds']);

function modelOf(model: string | null, meter: Meter, { isFineTuning }: Context): string | null {
  if (model === null || OF_TOOLS.has(meter)) return null;
  const base = withoutSnapshot(model) ?? model;
  if (!isFineTuning || model.startsWith('ft:')) return model;
  return OF_TRAINING.has(meter) ? base : `ft:${base}`;
}

/** Such as `1280x720`, and what it is when it is turned. */
function sizesIn(cell: string): readonly string[] {
  return [...new Set([...cell.matchAll(/\b(\d{3,4})\s?[x\u00d7]\s?(\d{3,4})\b/gi)].map(([, w, h]) => `${w}x${h}`))];
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
  const words = `${label} ${cell}`;
  if (/\bcharacters?\b/i.test(words)) return 'speech_characters';
  if (isLive(model)) return liveMeter(words);
  if (/\btraining\b|\breinforcement\b/.test(label))
    return /\bhours?\b/i.test(words) ? 'reinforcement_seconds' : 'training';
  if (/^sora\b/.test(model) || /\bvideo\b/.test(label)) return 'video_seconds';
  if (/\bminutes?\b/i.test(words)) return 'transcribed_seconds';
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

function isLive(model: string): boolean {
  return /^gpt-live(?!-transcribe)/.test(model);
}

function liveMeter(words: string): Meter | null {
  if (/\bstandby\b/i.test(words)) return 'live_standby_seconds';
  return /\bactive\b/i.test(words) ? 'live_active_seconds' : null;
}

const CONTAINERS: Readonly<Record<string, Meter>> = {
  '1': 'container_1g_seconds',
  '4': 'container_4g_seconds',
  '16': 'container_16g_seconds',
  '64': 'container_64g_seconds',
};

function toolOf(label: string): Meter | null {
  if (/gpt-live/i.test(label)) return liveMeter(label);
  if (/container|code interpreter|hosted shell/i.test(label))
    return CONTAINERS[/\b(1|4|16|64)\s?gi?b?\b/i.exec(label)?.[1] ?? ''] ?? null;
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

function shown(row: readonly string[]): string {
  return row.join(' | ').slice(0, 160);
}
