// A gateway with keys and budgets that were made before it started, in front of a scripted upstream.
import assert from 'node:assert/strict';

import type { Settings } from '../../src/config/config.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import type { KeyAndToken, NewKey } from '../../src/keys/keys.ts';
import type { NewBudget } from '../../src/ledger/budgets.ts';
import { eventually } from '../support/eventually.ts';
import { type TestGateway, startGateway } from '../support/gateway.ts';
import { readSpool } from '../support/invariants.ts';
import { makeDir } from '../support/ledger.ts';
import { type Recorder, type Script, startRecorder } from '../support/recorder.ts';
import { type Prepared, onStores } from './prepared.ts';

export const CHAT = '/openai/v1/chat/completions';
export const JSON_BODY = { 'content-type': 'application/json' };

export interface SceneOptions<K extends string> {
  readonly keys: Readonly<Record<K, Omit<NewKey, 'name'>>>;
  /** Of the keys that have one. */
  readonly budgets?: Partial<Record<K, Omit<NewBudget, 'scope' | 'keyId'>>>;
  readonly settings?: Settings;
  readonly clock?: Clock;
  /** What the upstream answers; plausible replies where it is absent. */
  readonly script?: Script;
  /** Base URL of another upstream than the scripted one. */
  readonly elsewhere?: string;
  /** Of a database that replicas share. */
  readonly databaseUrl?: string;
}

export interface Scene<K extends string> {
  readonly gateway: TestGateway;
  readonly upstream: Recorder;
  readonly keys: Readonly<Record<K, KeyAndToken>>;
  /** With a key, to a path of the gateway. */
  ask(key: K, path: string, init?: RequestInit): Promise<Response>;
  chat(key: K, body: unknown, init?: RequestInit): Promise<Response>;
  records(): ExchangeRecord[];
  /** All of them, once nothing is open any more. */
  settled(count: number): Promise<ExchangeRecord[]>;
  /** Looks into the stores after the gateway has ended. */
  after<T>(look: (prepared: Prepared) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export async function openScene<K extends string>(options: SceneOptions<K>): Promise<Scene<K>> {
  const { settings = {}, clock, script, elsewhere, databaseUrl, budgets = {} } = options;
  const dir = makeDir();
  const stores = { ...(clock !== undefined && { clock }), databaseUrl };
  const keys = await onStores(
    dir.path,
    async ({ key, ledger }) => {
      const made: Partial<Record<K, KeyAndToken>> = {};
      for (const [name, wanted] of Object.entries(options.keys) as [K, Omit<NewKey, 'name'>][]) {
        const one = await key({ ...wanted, name });
        made[name] = one;
        const budget = (budgets as Partial<Record<K, Omit<NewBudget, 'scope' | 'keyId'>>>)[name];
        if (budget !== undefined) await ledger.budgets.create({ ...budget, scope: 'key', keyId: one.key.id });
      }
      return made as Record<K, KeyAndToken>;
    },
    stores,
  );
  const upstream = await startRecorder(script);
  const gateway = await startGateway({
    upstream: elsewhere ?? `${upstream.url}/v1`,
    settings,
    dataDir: dir.path,
    ...(clock !== undefined && { clock }),
    ...(databaseUrl !== undefined && { databaseUrl }),
  });
  let isClosed = false;
  const stop = async () => {
    if (!isClosed) await gateway.close();
    isClosed = true;
  };
  const ask: Scene<K>['ask'] = (key, path, init = {}) =>
    fetch(gateway.api + path, {
      ...init,
      headers: { authorization: `Bearer ${keys[key].token}`, ...(init.headers as Record<string, string>) },
    });
  const records = () => readSpool(gateway.dataDir, 0).records;
  return {
    gateway,
    upstream,
    keys,
    ask,
    chat: (key, body, init = {}) =>
      ask(key, CHAT, { method: 'POST', body: JSON.stringify(body), headers: JSON_BODY, ...init }),
    records,
    async settled(count) {
      await eventually(`${count} records, and nothing open`, () => {
        const spool = readSpool(gateway.dataDir, 0);
        return spool.records.length >= count && spool.openIntents === 0;
      });
      assert.equal(records().length, count);
      return records();
    },
    async after(look) {
      await stop();
      return onStores(dir.path, look, stores);
    },
    async close() {
      await stop();
      await upstream.close();
      dir.remove();
    },
  };
}
