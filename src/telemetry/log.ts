// How the gateway itself fares, in words: one line of JSON per event on stderr. Never a body, a header or a secret.
import { systemClock } from '../domain/clock.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** Facts beside the sentence. Values are shown as they are: no secret belongs here. */
type Facts = Readonly<Record<string, string | number | boolean | null>>;

export interface Log {
  debug(event: string, facts?: Facts): void;
  info(event: string, facts?: Facts): void;
  warn(event: string, facts?: Facts): void;
  error(event: string, facts?: Facts): void;
}

export function openLog(least: Level, write: (line: string) => void = (line) => process.stderr.write(line)): Log {
  const at =
    (level: Level) =>
    (event: string, facts: Facts = {}) => {
      if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
      write(`${JSON.stringify({ at: new Date(systemClock.now()).toISOString(), level, event, ...facts })}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
