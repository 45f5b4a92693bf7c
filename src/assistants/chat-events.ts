// What a stream of Chat Completions says, in the signals of the Responses API. Evens out what servers do differently: ids that are
// missing or come twice, arguments in one piece, a `stop` where calls were made.
import type { Usage } from '../domain/run.ts';
import { SEARCH_FUNCTION } from './chat-request.ts';
import { type ItemKind, type ItemOp, type ResponseEnd, type Signal, usageOf } from './responses-events.ts';
import { type JsonObject, numberIn, objectIn, objectsIn, parseObject, stringIn, stringsIn } from './upstream-json.ts';

/** Reads one stream. */
export interface StreamReader {
  read(event: JsonObject): readonly Signal[];
  /** The stream is over. Without an end among the signals it broke off. */
  finish(): readonly Signal[];
}

interface OpenCall {
  readonly outIx: number;
  readonly index: number | null;
  readonly id: string | null;
  name: string;
  arguments: string;
  isBegun: boolean;
}

export function readChatStream(): StreamReader {
  let signals: Signal[] = [];
  let items = 0;
  let message: { readonly outIx: number; text: string; refusal: string } | null = null;
  let call: OpenCall | null = null;
  const ids = new Set<string>();
  let searches = 0;
  let functions = 0;
  let finishReason: string | null = null;
  let usage: Usage | null = null;
  let isEnded = false;

  const tell = (outIx: number, kind: ItemKind, op: ItemOp) =>
    signals.push({ type: 'item', signal: { outIx, kind, op } });

  function endMessage(): void {
    if (message === null) return;
    const { outIx, text, refusal } = message;
    message = null;
    const content = [
      ...(text === '' ? [] : [{ type: 'output_text', text }]),
      ...(refusal === '' ? [] : [{ type: 'refusal', refusal }]),
    ];
    const status = finishReason === 'length' || finishReason === 'content_filter' ? 'incomplete' : 'completed';
    tell(outIx, 'message', { type: 'done', item: { type: 'message', status, content } });
  }

  function endCall(): void {
    if (call === null) return;
    const { outIx, id, name, arguments: text } = call;
    begin(call);
    call = null;
    if (name === SEARCH_FUNCTION) {
      const queries = stringsIn(parseObject(text), 'queries');
      const item = { type: 'file_search_call', id: id ?? `search_${outIx}`, status: 'completed', queries, results: [] };
      tell(outIx, 'file_search_call', { type: 'done', item });
      searches++;
    } else {
      tell(outIx, 'function_call', {
        type: 'done',
        item: { type: 'function_call', call_id: id, name, arguments: text },
      });
      functions++;
    }
  }

  /** Not before its name is known, for that tells whose call it is. */
  function begin(opened: OpenCall): void {
    if (opened.isBegun || opened.name === '') return;
    opened.isBegun = true;
    const { outIx, id, name } = opened;
    const isSearch = name === SEARCH_FUNCTION;
    tell(outIx, isSearch ? 'file_search_call' : 'function_call', { type: 'begun', item: { call_id: id, name } });
  }

  function takeText(text: string, refusal: string): void {
    if (text === '' && refusal === '') return;
    endCall();
    message ??= { outIx: items++, text: '', refusal: '' };
    message.text += text;
    message.refusal += refusal;
    if (text !== '') tell(message.outIx, 'message', { type: 'text', part: 0, delta: text });
    if (refusal !== '')
      tell(message.outIx, 'message', { type: 'refusal', part: message.text === '' ? 0 : 1, delta: refusal });
  }

  function takeCall(piece: JsonObject): void {
    endMessage();
    const index = numberIn(piece, 'index');
    const id = stringIn(piece, 'id') || null;
    const called = objectIn(piece, 'function');
    const name = stringIn(called, 'name') ?? '';
    const goesOn = call !== null && (index === null ? id === null || id === call.id : index === call.index);
    if (!goesOn) {
      endCall();
      const isKnown = id !== null && ids.has(id);
      if (id !== null) ids.add(id);
      call = { outIx: items++, index, id: isKnown ? null : id, name: '', arguments: '', isBegun: false };
    }
    const open = call!;
    // Some servers repeat the name with every piece.
    if (open.name === '') open.name = name;
    const text = stringIn(called, 'arguments') ?? '';
    open.arguments += text;
    const wasBegun = open.isBegun;
    begin(open);
    if (!open.isBegun || open.name === SEARCH_FUNCTION) return;
    const delta = wasBegun ? text : open.arguments;
    if (delta !== '') tell(open.outIx, 'function_call', { type: 'arguments', delta });
  }

  function end(error: ResponseEnd['error'] = null): void {
    if (isEnded) return;
    isEnded = true;
    endMessage();
    endCall();
    const isCut = finishReason === 'length' || finishReason === 'content_filter';
    signals.push({
      type: 'end',
      end: {
        status: error !== null ? 'failed' : isCut ? 'incomplete' : 'completed',
        output: [],
        usage,
        incompleteReason: finishReason === 'content_filter' ? 'content_filter' : isCut ? 'max_output_tokens' : null,
        error,
        continues: searches > 0 && functions === 0,
      },
    });
  }

  function take(): readonly Signal[] {
    const taken = signals;
    signals = [];
    return taken;
  }

  return {
    read(event) {
      const error = objectIn(event, 'error');
      if (error !== null) {
        end({
          code: stringIn(error, 'code') ?? 'server_error',
          message: stringIn(error, 'message') ?? 'The upstream failed.',
        });
        return take();
      }
      usage = usageOf(objectIn(event, 'usage')) ?? usage;
      for (const choice of objectsIn(event, 'choices')) {
        // `message` where the server does not stream.
        const delta = objectIn(choice, 'delta') ?? objectIn(choice, 'message');
        takeText(stringIn(delta, 'content') ?? '', stringIn(delta, 'refusal') ?? '');
        for (const piece of objectsIn(delta, 'tool_calls')) takeCall(piece);
        finishReason = stringIn(choice, 'finish_reason') ?? finishReason;
      }
      return take();
    },
    finish() {
      if (finishReason !== null) end();
      return take();
    },
  };
}
