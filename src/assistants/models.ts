// What is known of models by their names: aliases for those that are gone, and what can never serve an assistant.
import type { AssistantsSettings } from '../config/assistants.ts';
import type { ApiError } from './api-error.ts';
import { modelUnsupported, parameterUnsupported } from './api-error.ts';

/**
 * The model that is called where a user named this one. An exact name wins over patterns, a longer pattern over a shorter one;
 * what an alias names is not looked up again.
 */
export function resolveModel(model: string, aliases: AssistantsSettings['modelAliases']): string {
  const exact = Object.hasOwn(aliases, model) ? aliases[model] : undefined;
  if (exact !== undefined) return exact;
  const patterns = Object.keys(aliases).filter((name) => name.endsWith('*') && model.startsWith(name.slice(0, -1)));
  const longest = patterns.toSorted((a, b) => b.length - a.length)[0];
  return (longest === undefined ? undefined : aliases[longest]) ?? model;
}

/** Models that give no text in answer to messages. */
const NOT_FOR_ASSISTANTS =
  /^(text-embedding-|tts-|whisper-|dall-e-|gpt-image-|sora-|omni-moderation-|text-moderation-|babbage-|davinci-|gpt-realtime|gpt-live)|-(tts|transcribe|realtime)\b/;
/** Models that refuse to be told how to sample. */
const NO_SAMPLING = /^o\d/;

/** What of a request can be seen to be refused before it is tried. */
export function modelProblem(
  model: string,
  sampling: { readonly temperature: number | null; readonly topP: number | null },
): ApiError | null {
  if (NOT_FOR_ASSISTANTS.test(model)) return modelUnsupported(model);
  if (!NO_SAMPLING.test(model)) return null;
  if (sampling.temperature !== null && sampling.temperature !== 1) return parameterUnsupported('temperature');
  if (sampling.topP !== null && sampling.topP !== 1) return parameterUnsupported('top_p');
  return null;
}
