// The emulated Assistants API without a socket: the real store in memory, an upstream that is played, no worker. Every answer is
// judged on its way out.
import assert from 'node:assert/strict';

import { openAssistants } from '../../src/assistants/assistants.ts';
import { type AssistantsSettings, assistantsSettings } from '../../src/config/assistants.ts';
import type { AssistantStore } from '../../src/domain/assistant-store.ts';
import type { EmulatedReply } from '../../src/domain/emulation.ts';
import type { Generate, GenerateCall } from '../../src/domain/generate.ts';
import { type TeamId, newId } from '../../src/domain/id.ts';
import { type Caller, KEY_DEFAULTS } from '../../src/domain/key.ts';
import type { OwnerStore } from '../../src/domain/ownership.ts';
import { TEAM_DEFAULTS } from '../../src/domain/team.ts';
import { openOwnership } from '../../src/ownership/ownership.ts';
import { assistantStore } from '../../src/store/assistants.ts';
import { migrateToLatest } from '../../src/store/migrate.ts';
import { ownerStore } from '../../src/store/owned-objects.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { judgeAnswer, judgeEvent } from './assistants-judge.ts';
import { handClock } from './engines.ts';
import { restingEngine } from './resting-engine.ts';

export interface Answered {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  // What a test reads of it, it asserts on.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
  /** As it went out. */
  readonly text: string;
  readonly reply: EmulatedReply;
}

export interface AskOptions {
  readonly as?: Caller;
  readonly headers?: readonly string[];
  readonly signal?: AbortSignal;
}

export interface TestDesk {
  readonly store: AssistantStore;
  readonly owners: OwnerStore;
  readonly clock: ReturnType<typeof handClock>;
  /** What went upstream, in order. */
  readonly upstream: {
    readonly method: string;
    readonly path: string;
    readonly body: unknown;
    readonly keyId: string;
  }[];
  /** What the upstream answers; 200 and `{"id": "vs_<n>"}` where it answers undefined. */
  play(
    answer: (
      call: GenerateCall,
      body: unknown,
    ) => { status: number; body: unknown } | 'refused' | 'unreachable' | undefined,
  ): void;
  ask(method: string, path: string, body?: unknown, options?: AskOptions): Promise<Answered>;
  /** The answer of a request that must succeed. */
  // oxlint-disable-next-line typescript/no-explicit-any
  ok(method: string, path: string, body?: unknown, options?: AskOptions): Promise<any>;
  close(): Promise<void>;
}

export function caller(team: TeamId, key: `key_${string}` = `key_of_${team}`): Caller {
  return {
    team: { ...TEAM_DEFAULTS, id: team, name: team, createdAt: 0 },
    key: {
      ...KEY_DEFAULTS,
      id: key,
      teamId: team,
      name: key,
      tokenHash: '',
      tokenHint: '',
      endpoints: ['*'],
      status: 'active',
      expiresAt: null,
      createdAt: 0,
    },
    user: null,
  };
}

export const RED_CALLER = caller('team_red');
export const BLUE_CALLER = caller('team_blue');

export async function openDesk(settings: Partial<AssistantsSettings> = {}): Promise<TestDesk> {
  const clock = handClock();
  const engine = openSqlite(':memory:', clock, 'strict');
  await migrateToLatest(engine);
  const store = assistantStore(engine);
  const owners = ownerStore(engine);
  const ownership = openOwnership(owners);
  const upstream: TestDesk['upstream'] = [];
  let answer: Parameters<TestDesk['play']>[0] = () => undefined;
  let made = 0;
  const generate: Generate = async (call) => {
    const body: unknown = call.body === null ? undefined : JSON.parse(call.body.toString('utf8'));
    upstream.push({ method: call.method, path: call.path, body, keyId: call.keyId });
    const played = answer(call, body) ?? { status: 200, body: { id: `vs_${++made}`, object: 'vector_store' } };
    if (played === 'unreachable') return { kind: 'unreachable', code: 'ECONNREFUSED', message: 'connect' };
    if (played === 'refused') {
      const { Refusal } = await import('../../src/domain/refusal.ts');
      return { kind: 'refused', refusal: new Refusal('endpoint_not_allowed', 'Not with this key.') };
    }
    const bytes = Buffer.from(JSON.stringify(played.body));
    return {
      kind: 'answered',
      status: played.status,
      headers: new Map([['content-type', 'application/json']]),
      body: (async function* () {
        yield bytes;
      })(),
    };
  };
  const log = openLog('error', () => {});
  const desk = openAssistants(
    { store, wakeups: engine.wakeups, generate, ownership, engine: restingEngine(store, engine.wakeups), clock, log },
    // Tests count what goes upstream.
    assistantsSettings.parse({ checkModels: false, ...settings }),
  );

  const ask: TestDesk['ask'] = async (method, path, body, options = {}) => {
    const [bare = '', query = ''] = path.split('?');
    const reply = await desk.emulation.answer({
      exchangeId: newId('exc', clock.now()),
      caller: options.as ?? RED_CALLER,
      method,
      path: `/v1${bare}`,
      query,
      rawHeaders: options.headers ?? [],
      body: body === undefined ? Buffer.alloc(0) : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
      limitHeaders: [],
      signal: options.signal ?? new AbortController().signal,
    });
    const headers = new Map<string, string>();
    for (let i = 0; i < reply.headers.length; i += 2) headers.set(reply.headers[i]!, reply.headers[i + 1]!);
    const text = typeof reply.body === 'string' ? reply.body : '';
    const json: unknown = text === '' ? null : JSON.parse(text);
    if (text !== '') judgeAnswer(method, bare, reply.status, json);
    return { status: reply.status, headers, json, text, reply };
  };

  return {
    store,
    owners,
    clock,
    upstream,
    play: (next) => {
      answer = next;
    },
    ask,
    async ok(method, path, body, options) {
      const answered = await ask(method, path, body, options);
      assert.equal(answered.status, 200, answered.text);
      return answered.json as unknown;
    },
    async close() {
      await desk.close();
      await engine.close();
    },
  };
}

export interface Frame {
  readonly event: string;
  // As in Answered.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly data: any;
}

/** The frames of a streamed answer, each judged. */
export async function* framesOf(reply: EmulatedReply): AsyncGenerator<Frame> {
  assert.notEqual(typeof reply.body, 'string', 'not a stream');
  for await (const piece of reply.body as AsyncIterable<string>) {
    for (const text of piece.split('\n\n').filter((part) => part !== '' && !part.startsWith(':'))) {
      const found = /^event: (.+)\ndata: (.*)$/.exec(text);
      assert.ok(found, `not a frame: ${text}`);
      const [, event = '', raw = ''] = found;
      const data: unknown = raw === '[DONE]' ? raw : JSON.parse(raw);
      judgeEvent(event, data);
      yield { event, data };
    }
  }
}
