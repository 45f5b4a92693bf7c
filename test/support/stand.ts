// A gateway between a scripted upstream and watched clients. After each test `holdInvariants` looks at everything that
// went by, was written down or was left open, whatever the test itself was about.
import type { Settings } from '../../src/config/config.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { Evidence, holdInvariants, LEGITIMATE, readSpool } from './invariants.ts';
import { RawConnection, type RawReply, type RawRequest } from './raw-client.ts';
import { answerPlausibly, startRecorder, type Recorder, type Script } from './recorder.ts';
import { valueOf, type Header } from './wire.ts';

export interface Stand {
  readonly gateway: TestGateway;
  readonly upstream: Recorder;
  /** Connects to the gateway; what comes back is watched. */
  connect(): Promise<RawConnection>;
  /** One request on a connection of its own, with the virtual key where it brings none. */
  ask(request: RawRequest): Promise<RawReply>;
  /** The virtual key, and then these. */
  keyed(...headers: readonly Header[]): Header[];
  /** Records written since the last test, oldest first. */
  records(): ExchangeRecord[];
  /** Waits for so many records since the last test. */
  recorded(count: number): Promise<ExchangeRecord[]>;
  /** Answers from now on, until the next test. */
  script(script: Script): void;
  /** Goes before each test. */
  clear(): void;
  /** Goes after each test. */
  holdInvariants(): Promise<void>;
  /** Ends the gateway and its upstream. */
  close(): Promise<void>;
}

export interface StandOptions {
  readonly settings?: Settings;
  readonly clock?: Clock;
  /** Base URL of another upstream than the scripted one, which then sees nothing. */
  readonly elsewhere?: string;
}

export async function openStand({ settings = {}, clock, elsewhere }: StandOptions = {}): Promise<Stand> {
  const upstream = await startRecorder();
  const gateway = await startGateway({
    upstream: elsewhere ?? `${upstream.url}/v1`,
    settings,
    ...(clock === undefined ? {} : { clock }),
  }).catch(async (error) => {
    await upstream.close();
    throw error;
  });
  const evidence = new Evidence(gateway.token);
  let seenSeq = 0;

  const keyed = (...headers: readonly Header[]): Header[] => [['Authorization', `Bearer ${gateway.token}`], ...headers];
  const records = (): ExchangeRecord[] => readSpool(gateway.dataDir, seenSeq).records;

  async function connect(): Promise<RawConnection> {
    const connection = await RawConnection.open(gateway.api);
    evidence.watch(connection.socket);
    return connection;
  }

  const stand: Stand = {
    gateway,
    upstream,
    connect,
    keyed,
    records,
    async ask(request) {
      const connection = await connect();
      try {
        const headers = request.headers ?? [];
        const isKeyed = ['authorization', 'x-api-key', 'api-key'].some((name) => valueOf(headers, name) !== undefined);
        await connection.send({ ...request, headers: isKeyed ? headers : keyed(...headers) });
        return await connection.reply(request.method);
      } finally {
        connection.close();
      }
    },
    async recorded(count) {
      const deadline = performance.now() + 5000;
      for (;;) {
        const found = records();
        if (found.length >= count) return found;
        if (performance.now() > deadline) throw new Error(`${found.length} of ${count} records were written`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    script(script) {
      upstream.script = (request, wire) =>
        request.target === LEGITIMATE ? answerPlausibly(request, wire) : script(request, wire);
    },
    clear() {
      upstream.clear();
      evidence.clear();
      seenSeq = readSpool(gateway.dataDir, seenSeq).lastSeq;
    },
    async holdInvariants() {
      await holdInvariants({ stand, evidence, afterSeq: seenSeq, isUpstreamScripted: elsewhere === undefined });
    },
    async close() {
      await gateway.close();
      await upstream.close();
    },
  };
  return stand;
}
