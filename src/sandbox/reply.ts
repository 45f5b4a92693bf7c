// Completes the replies that aimock's fixtures cannot: embeddings, which it answers with a usage of zero
// and always as numbers, and images, which it answers without usage.
import { countTokens } from './tokens.ts';

/** What the low quality of a square picture counts. */
const imageOutputTokens = 272;

interface Asked {
  readonly prompt: string;
  readonly body: () => string;
}

/** A reply of embeddings or images with its usage, and with vectors in the encoding asked for; any other as it is. */
export function completeReply(reply: string, asked: Asked): string {
  // Recognised by their first members: aimock writes replies in a fixed order, and chat replies need no second parse.
  if (reply.startsWith('{"object":"list","data":[{"object":"embedding"')) return completeEmbeddings(reply, asked);
  return reply.startsWith('{"created":') ? completeImages(reply, asked) : reply;
}

function completeEmbeddings(reply: string, asked: Asked): string {
  // These are replies of aimock's own making, to requests it found valid.
  const embeddings = JSON.parse(reply) as { data: { embedding: number[] }[] };
  const request = JSON.parse(asked.body()) as { encoding_format?: string };
  const data = embeddings.data.map((entry) => ({
    ...entry,
    // The Node SDK asks for base64 unless told otherwise, and its 6.x decodes whatever comes as if it were.
    embedding: request.encoding_format === 'base64' ? asBase64(entry.embedding) : entry.embedding,
  }));
  const tokens = countTokens(asked.prompt);
  return JSON.stringify({ ...embeddings, data, usage: { prompt_tokens: tokens, total_tokens: tokens } });
}

function asBase64(vector: number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64');
}

function completeImages(reply: string, asked: Asked): string {
  const images = JSON.parse(reply) as { data: unknown[] };
  const inputTokens = countTokens(asked.prompt);
  const outputTokens = imageOutputTokens * images.data.length;
  const usage = {
    input_tokens: inputTokens,
    input_tokens_details: { text_tokens: inputTokens, image_tokens: 0 },
    output_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
  return JSON.stringify({ ...images, usage });
}
