// A gateway and the recording upstream behind it, as each file of this folder needs them.
import type { Settings } from '../../src/config/config.ts';
import { CANARY, startGateway } from '../support/gateway.ts';
import { exchange, RawConnection, type RawReply, type RawRequest } from '../support/raw-client.ts';
import { startRecorder, type Recorder } from '../support/recorder.ts';
import { valueOf, type Header } from '../support/wire.ts';

export interface Pair {
  readonly recorder: Recorder;
  readonly gateway: Awaited<ReturnType<typeof startGateway>>;
  readonly credential: string;
  /** Host and port of the upstream. */
  readonly upstreamAuthority: string;
  /** Sends a request through the gateway, with the virtual key where it brings none of its own. */
  ask(request: RawRequest): Promise<RawReply>;
  /** A connection to the gateway, to write on at will. */
  connect(): Promise<RawConnection>;
  /** The headers with the virtual key. */
  keyed(...headers: Header[]): Header[];
  close(): Promise<void>;
}

export async function startPair(settings: object = {}): Promise<Pair> {
  const recorder = await startRecorder();
  // The Assistants API too goes upstream here, as any other part of the API does.
  const relayed: Settings = { assistants: { mode: 'relay' }, ...settings };
  const gateway = await startGateway({ upstream: `${recorder.url}/v1`, settings: relayed });
  const keyed = (...headers: Header[]): Header[] => [['Authorization', `Bearer ${gateway.token}`], ...headers];
  return {
    recorder,
    gateway,
    credential: CANARY,
    upstreamAuthority: new URL(recorder.url).host,
    ask: (request) => exchange(gateway.api, { ...request, headers: withKey(request.headers ?? [], keyed) }),
    connect: () => RawConnection.open(gateway.api),
    keyed,
    async close() {
      await gateway.close();
      await recorder.close();
    },
  };
}

const KEY_HEADERS = ['authorization', 'x-api-key', 'api-key'];

function withKey(headers: readonly Header[], keyed: Pair['keyed']): readonly Header[] {
  const hasKey = KEY_HEADERS.some((name) => valueOf(headers, name) !== undefined);
  return hasKey ? headers : keyed(...headers);
}
