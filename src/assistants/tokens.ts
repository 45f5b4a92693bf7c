// How many tokens something will cost a model, as far as it can be told without the model's own tokenizer: an estimate, on the
// high side for plain English, near the mark for code and for scripts of several bytes a character.
import type { HistoryItem, Message } from '../domain/assistants.ts';

const BYTES_PER_TOKEN = 3.6;
/** What separates messages, and names their role. */
const TOKENS_PER_ITEM = 4;
const TOKENS_PER_IMAGE = 800;
const TOKENS_PER_SMALL_IMAGE = 85;

export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}

export function estimateItem(item: HistoryItem): number {
  if (item.kind === 'message') return TOKENS_PER_ITEM + estimateMessage(item.message);
  const { encrypted_content: encrypted, ...told } = item.payload;
  // Encrypted reasoning is longer than what it stands for, by about a third for its base 64 and by its envelope.
  const reasoning = typeof encrypted === 'string' ? Math.ceil(estimateTokens(encrypted) / 2) : 0;
  return TOKENS_PER_ITEM + estimateTokens(JSON.stringify(told)) + reasoning;
}

export function estimateMessage({ content }: Message): number {
  let tokens = 0;
  for (const part of content) {
    switch (part.type) {
      case 'text':
        tokens += estimateTokens(part.text.value);
        break;
      case 'refusal':
        tokens += estimateTokens(part.refusal);
        break;
      case 'image_file':
        tokens += part.image_file.detail === 'low' ? TOKENS_PER_SMALL_IMAGE : TOKENS_PER_IMAGE;
        break;
      case 'image_url':
        tokens += part.image_url.detail === 'low' ? TOKENS_PER_SMALL_IMAGE : TOKENS_PER_IMAGE;
        break;
    }
  }
  return tokens;
}

/** By the beginning of a model's name, the longest first: tokens of its context, the answer included. */
const CONTEXT_TOKENS: readonly (readonly [name: string, tokens: number])[] = [
  ['gpt-3.5-turbo-instruct', 4_096],
  ['gpt-3.5-turbo', 16_385],
  ['gpt-4-32k', 32_768],
  ['gpt-4-turbo', 128_000],
  ['gpt-4-1106', 128_000],
  ['gpt-4-0125', 128_000],
  ['gpt-4o', 128_000],
  ['gpt-4.1', 1_047_576],
  ['gpt-4.5', 128_000],
  ['gpt-4', 8_192],
  ['gpt-5', 400_000],
  ['gpt-6', 400_000],
  ['o1', 200_000],
  ['o3', 200_000],
  ['o4', 200_000],
];
/** A model that no row knows. One that takes less says so, and is asked again with less. */
const CONTEXT_TOKENS_DEFAULT = 128_000;
/** Kept free for the answer, unless the context is too small for that. */
const ANSWER_TOKENS = 16_384;

/** What a request to this model may hold. */
export function promptTokensMax(model: string): number {
  const context = CONTEXT_TOKENS.find(([name]) => model.startsWith(name))?.[1] ?? CONTEXT_TOKENS_DEFAULT;
  return context - Math.min(ANSWER_TOKENS, Math.floor(context / 4));
}
