// What options of several commands have in common: how people write lists, limits, budgets and JSON on a command line.
import type { Command } from 'commander';

import { ConfigError } from '../config/load.ts';

/** An option that may be given again: each time adds to the list. */
export function repeated(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Options of what a team and a key have alike. */
export function withScopeOptions(command: Command): Command {
  return command
    .option('--models <patterns>', 'models that it may call, such as gpt-5*,o4-mini (default: *, all)')
    .option(
      '--endpoints <rules>',
      'groups of endpoints or paths that it may call, such as chat,embeddings,/v1/files* (default: *, all but admin)',
    )
    .option(
      '--limit <name=count>',
      'such as requests_per_minute=600, tokens_per_minute, concurrent_exchanges, concurrent_streams or concurrent_sockets; none lifts it; may be given again',
      repeated,
    )
    .option('--tags <tags>', 'tags of all its exchanges, such as web,beta')
    .option('--metadata <json>', 'a JSON object of your own');
}

export interface ScopeFlags {
  readonly models?: string;
  readonly endpoints?: string;
  readonly limit?: readonly string[];
  readonly tags?: string;
  readonly metadata?: string;
}

export function scopesOf({ models, endpoints, limit, tags, metadata }: ScopeFlags) {
  return {
    models: listOf(models),
    endpoints: listOf(endpoints),
    limits: limitsOf(limit),
    tags: listOf(tags),
    metadata: objectOf('--metadata', metadata),
  };
}

/** Undefined where the option was not given; empty text is an empty list. */
export function listOf(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

export function objectOf(option: string, text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    // Checked on the line before; the gateway looks at what is in it.
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below, as any other text that is no object.
  }
  throw new ConfigError(`${option} is ${shown(text)}; write a JSON object, such as {"cost_center":"4711"}`);
}

export function limitsOf(written: readonly string[] | undefined): Record<string, number | null> | undefined {
  if (written === undefined) return undefined;
  return Object.fromEntries(
    written.map((text) => {
      const [name = '', count = ''] = text.split('=', 2);
      if (name === '' || !/^(\d{1,15}|none)$/.test(count)) {
        throw new ConfigError(
          `--limit is ${shown(text)}; write a name and a count, such as requests_per_minute=600, or =none`,
        );
      }
      return [name, count === 'none' ? null : Number(count)] as const;
    }),
  );
}

const BUDGET = /^(\d+(?:\.\d+)?)(tokens)?(?:\/(total|minute|hour|day|week|month))?$/;

/** `5/day` is US dollars, `100000tokens/day` is tokens; without a window it is for all time. */
export function budgetOf(text: string): BudgetWritten {
  const [, amount, unit, window] = BUDGET.exec(text) ?? [];
  if (amount === undefined) {
    throw new ConfigError(
      `--budget is ${shown(text)}; write US dollars and a window, such as 5/day, or tokens, such as 100000tokens/month`,
    );
  }
  const limit = unit === undefined ? { limit_usd: amount } : { limit_tokens: Number(amount) };
  // One of the words of BUDGET.
  return window === undefined ? limit : { ...limit, window: window as NonNullable<BudgetWritten['window']> };
}

export interface BudgetWritten {
  readonly limit_usd?: string;
  readonly limit_tokens?: number;
  readonly window?: 'total' | 'minute' | 'hour' | 'day' | 'week' | 'month';
}

/** A word for null, where an option takes something away. */
export function orNull<T extends string>(value: T | undefined, word: string): T | null | undefined {
  return value === word ? null : value;
}

/** Something to change was asked for. */
export function changesOf<T extends object>(changes: T): T {
  if (Object.values(changes).some((value) => value !== undefined)) return changes;
  throw new ConfigError('nothing was given to change; name at least one option');
}

function shown(text: string): string {
  return `"${text.slice(0, 100)}"`;
}
