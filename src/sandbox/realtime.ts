// Fills in the usage of realtime responses, which aimock answers with zeros whatever the fixture says.
import { countTokens } from './tokens.ts';

interface RealtimeEvent {
  readonly type: string;
  readonly item?: RealtimeItem;
  readonly response?: {
    readonly output?: readonly RealtimeItem[];
    readonly usage?: { readonly total_tokens: number } | null;
  };
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
    const usage = {
      total_tokens: inputTokens + outputTokens,
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      input_token_details: { text_tokens: inputTokens, audio_tokens: 0, image_tokens: 0, cached_tokens: 0 },
      output_token_details: { text_tokens: outputTokens, audio_tokens: 0 },
    };
    return JSON.stringify({ ...event, response: { ...event.response, usage } });
  };
}

function said(items: readonly RealtimeItem[]): string {
  return items
    .flatMap((item) => item.content ?? [])
    .map((part) => part.text ?? '')
    .join('');
}
