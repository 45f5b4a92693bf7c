// The door of the emulated Assistants API: one call in, one answer out. Nothing here knows of sockets, and nothing is thrown.
import type { AssistantsSettings } from '../config/assistants.ts';
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { AssistantId } from '../domain/assistants.ts';
import type { Clock } from '../domain/clock.ts';
import type { EmulatedCall, EmulatedReply, Emulation } from '../domain/emulation.ts';
import type { Generate } from '../domain/generate.ts';
import type { Ownership } from '../domain/ownership.ts';
import type { RunRef } from '../domain/run.ts';
import type { Wakeups } from '../domain/wakeups.ts';
import { BETA_HEADER, IDEMPOTENCY_KEY_HEADER, RETRY_COUNT_HEADER, headerValue, headerValues } from '../http/headers.ts';
import type { Log } from '../telemetry/log.ts';
import { ApiError, betaMissing, notJson } from './api-error.ts';
import { newAssistant } from './assistant-operations.ts';
import type { Answer, Asked, Desk } from './desk.ts';
import type { RunEngine } from './engine.ts';
import { type Given, type RepeatableRequest, oncePerRequest } from './idempotency.ts';
import { openKnownModels } from './known-models.ts';
import { namedObjects } from './named-objects.ts';
import { type RequestSchemas, requestSchemas } from './requests.ts';
import { changedResources } from './resources.ts';
import { findOperation, groupOfOurs } from './routes.ts';
import { openRunEngine } from './run-engine.ts';
import { STREAM_HEADERS, framesOf } from './stream.ts';
import { startSweep } from './sweep.ts';
import { upstreamCalls } from './upstream-calls.ts';
import { parseBody } from './validate.ts';

export { openBackup } from './backup.ts';

const BETA = 'assistants=v2';
const JSON_HEADERS = ['content-type', 'application/json'];

export interface AssistantsParts {
  readonly store: AssistantStore;
  readonly wakeups: Wakeups;
  readonly generate: Generate;
  readonly ownership: Ownership;
  /** In place of the one that executes runs. */
  readonly engine?: RunEngine;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Assistants {
  readonly emulation: Emulation;
  /** Takes up no more runs, and lets go who reads those of other replicas; the turns that run go on. */
  stopClaiming(): void;
  /** Turns that run here now. */
  active(): number;
  /** Breaks off what still runs, and gives it back for another replica to take over. */
  close(): Promise<void>;
}

/** @throws Error that names the setting, for a template that is none */
export function openAssistants(
  { store, wakeups, generate, ownership, clock, log, ...parts }: AssistantsParts,
  settings: AssistantsSettings,
): Assistants {
  const schemas = requestSchemas(settings);
  const templates = readTemplates(settings, schemas);
  const engine = parts.engine ?? openRunEngine({ store, wakeups, generate, clock, log }, settings);
  const sweep = startSweep(store, wakeups, log);
  const changes = runChanges(wakeups);
  const once = oncePerRequest(store);
  const desk: Desk = {
    store,
    engine,
    wakeups,
    settings,
    schemas,
    models: openKnownModels(settings, store.now),
    templates,
    queuedRuns: sweep.queuedRuns,
    onRunChange: changes.listen,
    inTurn: turns(),
  };

  async function answer(call: EmulatedCall): Promise<EmulatedReply> {
    try {
      requireBeta(call, settings);
      if (call.method !== 'POST') return reply(await operate(call));
      const request = repeatable(call);
      const made: EmulatedReply[] = [];
      const given = await once.answer(request, async () => {
        const answered = reply(await operate(call));
        made.push(answered);
        // A stream is not kept: who lost it reads on from the run's events.
        return typeof answered.body === 'string' ? { ...answered, body: answered.body } : null;
      });
      if (given === null) return made[0]!;
      return { ...given, ended: (wasDelivered) => void (wasDelivered ? null : remember(request, given)) };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { status: error.status, headers: [...JSON_HEADERS, ...error.headers], body: error.body() };
    }
  }

  async function operate(call: EmulatedCall): Promise<{ readonly answer: Answer; readonly signal: AbortSignal }> {
    const body = call.method === 'POST' ? readJson(call.body) : {};
    const { operation, ids } = findOperation(call.method, call.path);
    const calls = upstreamCalls(generate, call.caller, call.signal);
    const asked: Asked = {
      caller: call.caller,
      ids,
      query: new URLSearchParams(call.query),
      body,
      header: (name) => headerValue(call.rawHeaders, name),
      calls,
      named: namedObjects(ownership, call.caller.team.id, calls),
      signal: call.signal,
    };
    return { answer: await operation(desk, asked), signal: call.signal };
  }

  function reply({
    answer: answered,
    signal,
  }: {
    readonly answer: Answer;
    readonly signal: AbortSignal;
  }): EmulatedReply {
    switch (answered.kind) {
      case 'object':
        return {
          status: 200,
          headers: [...JSON_HEADERS, ...(answered.headers ?? [])],
          body: JSON.stringify(answered.body, null, 2),
        };
      case 'bytes':
        return { status: 200, headers: answered.headers, body: answered.body };
      case 'stream': {
        const { run, afterSeq, isNumbered, startsRun, headers } = answered;
        const events = engine.events(run, afterSeq, signal);
        if (startsRun) engine.start(run);
        return {
          status: 200,
          headers: [...STREAM_HEADERS, ...headers],
          body: framesOf(events, { include: run.include, isNumbered }),
        };
      }
    }
  }

  async function remember(request: RepeatableRequest, given: Given): Promise<void> {
    try {
      await once.undelivered(request, given);
    } catch (error) {
      log.warn('answer not kept for a client that may ask again', {
        why: error instanceof Error ? error.message : String(error),
      });
    }
  }

  return {
    emulation: { claims: (path, endpoint) => groupOfOurs(path, endpoint?.group), answer },
    stopClaiming() {
      engine.stopClaiming();
      engine.stopFollowing();
    },
    active: () => engine.active(),
    async close() {
      await engine.close();
      await sweep.close();
      changes.close();
    },
  };
}

/** @throws ApiError */
function requireBeta({ rawHeaders, path }: EmulatedCall, { requireBetaHeader }: AssistantsSettings): void {
  const sent = headerValues(rawHeaders, BETA_HEADER).flatMap((value) => value.split(',').map((one) => one.trim()));
  if (sent.includes(BETA) || path.startsWith('/v1/files/')) return;
  // The first version ended in 2024: who asks for it is told what to ask for.
  if (requireBetaHeader || sent.some((one) => one.startsWith('assistants='))) throw betaMissing();
}

/** @throws ApiError */
function readJson(body: Buffer): unknown {
  if (body.length === 0) return {};
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    throw notJson();
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw notJson();
  return json;
}

function repeatable({ caller, method, path, query, body, rawHeaders }: EmulatedCall): RepeatableRequest {
  const retries = Number(headerValue(rawHeaders, RETRY_COUNT_HEADER) ?? '0');
  const key = headerValue(rawHeaders, IDEMPOTENCY_KEY_HEADER);
  return { teamId: caller.team.id, method, path, query, body, key, retries: Number.isNaN(retries) ? 0 : retries };
}

function readTemplates({ templates }: AssistantsSettings, schemas: RequestSchemas): Desk['templates'] {
  return new Map(
    Object.entries(templates).map(([id, { topP, toolResources, ...template }]) => {
      const asked = {
        ...template,
        ...(topP !== undefined && { top_p: topP }),
        ...(toolResources && { tool_resources: toolResources }),
      };
      try {
        const parsed = parseBody(schemas.createAssistant, asked);
        const resources = parseBody(schemas.modifyAssistant, asked).tool_resources;
        // The schema of settings has seen to it that the id is one of an assistant.
        return [id, { ...newAssistant(parsed), id: id as AssistantId, toolResources: changedResources({}, resources) }];
      } catch (error) {
        throw new Error(`assistants.templates.${id}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
    }),
  );
}

/** Listeners by run, over one subscription: many clients may poll many runs. */
function runChanges(wakeups: Wakeups) {
  const listeners = new Map<string, Set<() => void>>();
  const forget = wakeups.subscribe('events', (ref) => {
    for (const listener of listeners.get(ref) ?? []) listener();
  });
  return {
    close: forget,
    listen(run: RunRef, listener: () => void): () => void {
      const ref = String(run);
      const all = listeners.get(ref) ?? new Set();
      listeners.set(ref, all.add(listener));
      return () => {
        all.delete(listener);
        if (all.size === 0) listeners.delete(ref);
      };
    },
  };
}

function turns(): Desk['inTurn'] {
  const last = new Map<string, Promise<unknown>>();
  return async (key, work) => {
    const before = last.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (last.get(key) === mine) last.delete(key);
    }
  };
}
