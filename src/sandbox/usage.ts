// Counts tokens by the sandbox's own rule, and writes the counts where aimock's fixtures have no place for them:
// embeddings and realtime, which it answers with zeros, and images, which it answers without usage.

/** Four characters make a token: near enough to try things, the same on every machine, and never zero. */
export function countTokens(text: string): number {
  return Math.max(1, Math.ceil(text.length / 4));
}

/** What the low quality of a square picture counts. */
const imageOutputTokens = 272;

/** A reply in which `usage` is filled in, if it is one that lacks it; any other reply as it is. */
export function withUsage(reply: string, prompt: string): string {
  const inputTokens = countTokens(prompt);
  // Recognised by their first members: aimock writes replies in a fixed order, and chat replies need no second parse.
  if (reply.startsWith('{"object":"list","data":[{"object":"embedding"')) {
    return rewrite(reply, () => ({ prompt_tokens: inputTokens, total_tokens: inputTokens }));
  }
  if (reply.startsWith('{"created":')) {
    return rewrite(reply, ({ data }) => {
      const outputTokens = imageOutputTokens * (Array.isArray(data) ? data.length : 1);
      return {
        input_tokens: inputTokens,
        input_tokens_details: { text_tokens: inputTokens, image_tokens: 0 },
        output_tokens: outputTokens,
        total_tokens: inputTokens + outputTokens,
      };
    });
  }
  return reply;
}

function rewrite(reply: string, usageOf: (body: Record<string, unknown>) => Record<string, unknown>): string {
  // The caller has seen that the reply is an object.
  const body = JSON.parse(reply) as Record<string, unknown>;
  return JSON.stringify({ ...body, usage: usageOf(body) });
}

interface RealtimeEvent {
  readonly type: string;
  readonly item?: RealtimeItem;
  readonly response?: { readonly output?: readonly RealtimeItem[]; usage?: { readonly total_tokens: number } | null };
}

interface RealtimeItem {
  readonly content?: readonly { readonly text?: string }[];
}

/**
 * Follows the events of one realtime socket and fills in the usage of each finished response:
 * what was said before it counts as input.
 */
export function realtimeUsage(): (event: string) => string {
  let saidBefore = '';
  return (text) => {
    // Sockets of the Responses API pass here too; their usage comes from the answer and is kept.
    if (!text.startsWith('{"type":"conversation.item.') && !text.startsWith('{"type":"response.done"')) return text;
    const event = JSON.parse(text) as RealtimeEvent;
    if (event.item) {
      saidBefore += said([event.item]);
      return text;
    }
    if (event.response?.usage?.total_tokens !== 0) return text;
    const answer = said(event.response.output ?? []);
    // The answer was an item of the conversation before its response was done.
    const inputTokens = countTokens(saidBefore.slice(0, saidBefore.length - answer.length));
    const outputTokens = countTokens(answer);
    event.response.usage = {
      total_tokens: inputTokens + outputTokens,
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      input_token_details: { text_tokens: inputTokens, audio_tokens: 0, image_tokens: 0, cached_tokens: 0 },
      output_token_details: { text_tokens: outputTokens, audio_tokens: 0 },
    } as { total_tokens: number };
    return JSON.stringify(event);
  };
}

function said(items: readonly RealtimeItem[]): string {
  return items
    .flatMap((item) => item.content ?? [])
    .map((part) => part.text ?? '')
    .join('');
}
