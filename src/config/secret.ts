// Secrets in settings are references. A resolved one is wrapped, so that no log, error or JSON can show it by accident.
import { readFileSync } from 'node:fs';

const HIDDEN = '[secret]';

export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself: only for the place that sends or compares it. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return HIDDEN;
  }
}

/** @throws Error that names the reference, never what it led to. */
export function resolveSecret(reference: string, environment: Readonly<Record<string, string | undefined>>): Secret {
  if (reference.startsWith('env:')) {
    const name = reference.slice('env:'.length);
    const text = environment[name]?.trim();
    if (!text) throw new Error(`the environment variable ${name} is not set or empty; set it, or point elsewhere`);
    return new Secret(text);
  }
  if (reference.startsWith('file:')) {
    const path = reference.slice('file:'.length);
    let text: string;
    try {
      text = readFileSync(path, 'utf8').trim();
    } catch (cause) {
      throw new Error(`the file ${path} cannot be read; check that it exists and who may read it`, { cause });
    }
    if (text === '') throw new Error(`the file ${path} is empty; write the secret into it`);
    return new Secret(text);
  }
  throw new Error('a secret is given by reference: write env:NAME or file:/path, never the secret itself');
}
