// Which encoding a model's tokens are counted in. Names that nobody knows yet are taken for models of today.

export type Encoding = 'o200k_base' | 'cl100k_base';

/** Models before gpt-4o, and embeddings. */
const OLDER = /^(ft:)?(gpt-4(-|$)|gpt-3\.5|gpt-35|text-embedding-|davinci-002|babbage-002)/;

export function encodingOf(model: string): Encoding {
  return OLDER.test(model) ? 'cl100k_base' : 'o200k_base';
}
