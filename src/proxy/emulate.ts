// Answers an admitted exchange from this gateway's own Assistants API: nothing goes upstream. It ends in one observation, as
// any other exchange does.
import type { Clock } from '../domain/clock.ts';
import type { EmulatedReply, Emulation } from '../domain/emulation.ts';
import type { Admission, Ending, ExchangeError, Observation, Transport } from '../domain/exchange.ts';
import { PROCESSING_HEADER, REQUEST_ID_HEADER, VERSION_HEADER } from '../http/headers.ts';
import { sendPieces } from '../http/pieces.ts';
import { sendWhole } from '../http/reply.ts';
import type { DownstreamReply } from '../http/server.ts';
import type { Log } from '../telemetry/log.ts';
import type { Carried, Observed } from './carry.ts';

/** Largest body that the Assistants API takes, bytes. */
export const EMULATED_BODY_BYTES_MAX = 16 * 1024 * 1024;

const VERSION = '2020-10-01';
const FAILED: EmulatedReply = {
  status: 500,
  headers: ['content-type', 'application/json', 'x-should-retry', 'false'],
  body: JSON.stringify({
    error: {
      message: 'The gateway failed. Its log says why.',
      type: 'server_error',
      param: null,
      code: 'internal_error',
    },
  }),
};

const NOT_ASKED: EmulatedReply = { status: 499, headers: [], body: '' };

export interface EmulateParts {
  readonly emulation: Emulation;
  readonly clock: Clock;
  readonly log: Log;
}

export interface EmulatedDownstream {
  readonly reply: DownstreamReply;
  /** Null where the client left before it was complete: what was asked is not known, so nothing is done. */
  readonly body: Buffer | null;
  /** Added to the reply: ours, and CORS. */
  readonly ownHeaders: readonly string[];
}

/** @param observed told once; for a reply in one piece the client gets it when `release` is called */
export function emulate(
  parts: EmulateParts,
  admission: Admission,
  downstream: EmulatedDownstream,
  observed: Observed,
): Carried {
  const { clock, log } = parts;
  const { arrival } = admission;
  const { reply, body, ownHeaders } = downstream;
  const client = new AbortController();
  let isCut = false;
  const onClose = () => client.abort();
  reply.once('close', onClose);

  const answer = async (): Promise<void> => {
    const answered = body === null ? NOT_ASKED : await askEmulation(parts, admission, body, client.signal);
    const headers = [
      ...answered.headers,
      REQUEST_ID_HEADER,
      arrival.id,
      VERSION_HEADER,
      VERSION,
      PROCESSING_HEADER,
      String(Math.max(1, Math.round(clock.elapsedMs() - admission.admittedMs))),
      ...ownHeaders,
    ];
    if (typeof answered.body === 'string') answerWhole(answered, answered.body, headers);
    else await answerInPieces(answered, answered.body, headers);
  };

  function answerWhole(answered: EmulatedReply, text: string, headers: string[]): void {
    if (reply.destroyed || answered === NOT_ASKED) {
      end(answered, isCut ? 'gateway_cut' : 'downstream_left', 0, () => {});
      return;
    }
    end(answered, 'complete', Buffer.byteLength(text), () => sendWhole(reply, answered.status, headers, text));
  }

  async function answerInPieces(
    answered: EmulatedReply,
    pieces: Exclude<EmulatedReply['body'], string>,
    headers: string[],
  ): Promise<void> {
    let bytes = 0;
    let ending: Ending = 'complete';
    try {
      bytes = await sendPieces(reply, answered.status, headers, pieces);
      if (reply.destroyed) ending = isCut ? 'gateway_cut' : 'downstream_left';
    } catch (error) {
      log.error('emulated reply broke off', {
        exchange: arrival.id,
        why: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      ending = 'gateway_cut';
    }
    end(answered, ending, bytes, () => {
      if (ending === 'complete') reply.end();
      else reply.destroy();
    });
  }

  function end(answered: EmulatedReply, ending: Ending, bytesOut: number, send: () => void): void {
    observed(observation(answered, ending, bytesOut), () => {
      reply.off('close', onClose);
      send();
      if (reply.closed) answered.ended?.(false);
      else reply.once('close', () => answered.ended?.(reply.writableFinished));
    });
  }

  const observation = (answered: EmulatedReply, ending: Ending, bytesOut: number): Observation => ({
    attempts: [],
    status: ending === 'complete' || reply.headersSent ? answered.status : null,
    ending,
    transport: transportOf(answered),
    bytesIn: body?.length ?? 0,
    bytesOut,
    facts: null,
    isDrained: false,
    upstreamRequestId: null,
    error: faultOf(ending),
    endedMs: clock.elapsedMs(),
  });

  const cut = () => {
    isCut = true;
    reply.destroy();
  };
  return { caller: admission.caller, start: () => void answer(), cut, stop: cut };
}

/** A bug there is ours: it ends this exchange, is told to the operator, and tells the client nothing. */
async function askEmulation(
  { emulation, log }: EmulateParts,
  { arrival, caller, permits }: Admission,
  body: Buffer,
  signal: AbortSignal,
): Promise<EmulatedReply> {
  const { method, path, target, rawHeaders } = arrival;
  try {
    const query = target.slice(path.length + 1);
    const { headers: limitHeaders } = permits;
    const call = { exchangeId: arrival.id, caller, method, path, query, rawHeaders, limitHeaders, body, signal };
    return await emulation.answer(call);
  } catch (error) {
    log.error('emulated exchange failed', {
      exchange: arrival.id,
      why: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    return FAILED;
  }
}

function transportOf({ body, headers }: EmulatedReply): Transport {
  if (typeof body === 'string') return 'json';
  return headers.some((value) => value.startsWith('text/event-stream')) ? 'sse' : 'binary';
}

function faultOf(ending: Ending): ExchangeError | null {
  if (ending === 'downstream_left')
    return { origin: 'downstream', code: 'client_left', message: 'The client left before the reply had ended.' };
  if (ending === 'gateway_cut')
    return { origin: 'gateway', code: 'cut', message: 'The gateway ended the reply before it was complete.' };
  return null;
}
