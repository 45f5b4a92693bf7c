// An operator's own prices, as the settings hold them: two layers of the price book.
import { readFileSync } from 'node:fs';

import { parse as parseYaml } from 'yaml';

import { ConfigError } from '../config/load.ts';
import { type PriceBook, PriceBookError, parsePriceBook } from '../openai/price-book.ts';
import type { PriceLayers } from '../openai/price-layers.ts';

/** Unchecked: what stands under `prices`. */
export interface PriceSettings {
  readonly overrides?: unknown;
  readonly contracts?: unknown;
}

/** @param teamId the id of a team that is named by id or name; null where there is none */
export type FindTeamId = (idOrName: string) => Promise<string | null>;

/** @throws ConfigError with all that is wrong */
export async function readOwnPrices(
  { overrides, contracts }: PriceSettings,
  teamId: FindTeamId,
): Promise<Pick<PriceLayers, 'overrides' | 'contracts'>> {
  return { overrides: readOverrides(overrides), contracts: await readContracts(contracts, teamId) };
}

function readOverrides(written: unknown): PriceBook | null {
  if (written === undefined || written === null) return null;
  if (typeof written !== 'string') return parse(written, (problem) => under('prices.overrides', problem));
  return parse(readBookFile(written), (problem) => `prices.overrides (${written}): ${problem}`);
}

function readBookFile(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(
      `prices.overrides is "${file}", which cannot be read; name a file that holds a price book, or write the book there`,
      { cause },
    );
  }
  try {
    // JSON is YAML too.
    return parseYaml(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause);
    throw new ConfigError(`prices.overrides (${file}) is neither JSON nor YAML: ${why}`, { cause });
  }
}

async function readContracts(written: unknown, teamId: FindTeamId): Promise<PriceBook | null> {
  if (written === undefined || written === null) return null;
  if (!Array.isArray(written)) {
    throw new ConfigError('prices.contracts is no list; write one, such as [{team: web, factor: "0.93"}]');
  }
  const problems: string[] = [];
  const multipliers: unknown[] = [];
  for (const [i, rule] of (written as unknown[]).entries()) {
    const where = `prices.contracts[${i}]`;
    // What is no object at all the price book says.
    const { team, key } = (rule ?? {}) as { readonly team?: unknown; readonly key?: unknown };
    if (team === undefined && key === undefined) problems.push(`${where} names neither a team nor a key; write one`);
    if (typeof team !== 'string' || team.startsWith('team_')) {
      multipliers.push(rule);
      continue;
    }
    const id = await teamId(team);
    if (id === null) {
      problems.push(
        `${where}.team is "${team.slice(0, 100)}", and there is no team of that name; make it first, or write its id`,
      );
    }
    multipliers.push({ ...(rule as object), team: id ?? 'team_unknown' });
  }
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return parse({ multipliers }, (problem) => problem.replace(/^multipliers/, 'prices.contracts'));
}

function parse(written: unknown, place: (problem: string) => string): PriceBook {
  try {
    return parsePriceBook(written);
  } catch (error) {
    if (!(error instanceof PriceBookError)) throw error;
    throw new ConfigError(error.problems.map(place).join('\n'), { cause: error });
  }
}

/** The path of a field within the book as a path within the settings. */
function under(setting: string, problem: string): string {
  return problem.startsWith('what holds ')
    ? problem.replace(/^what holds the price book fields/, setting)
    : `${setting}.${problem}`;
}
