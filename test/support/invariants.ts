// What must hold after every test, however hostile it was (the reference on security, I1 to I7).
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { eventually } from './eventually.ts';
import { CANARY } from './gateway.ts';
import type { RecordedRequest } from './recorder.ts';
import type { Stand } from './stand.ts';
import { valuesOf } from './wire.ts';

/** Every test leaves the gateway able to serve this one. */
export const LEGITIMATE = '/v1/models/legitimate';

const SERVED_MS = 1000;
const EXCHANGE_ID = /x-throughway-exchange-id: (exc_[0-9a-z]+)/gi;

/** The credential as it could show where it must not: whole or half, plain, encoded or backwards. */
export const SECRET_FORMS: readonly string[] = secretForms(CANARY);

function secretForms(secret: string): string[] {
  const middle = Math.floor(secret.length / 2);
  const backwards = [...secret].reverse().join('');
  const encoded = [...secret].map((each) => `%${each.charCodeAt(0).toString(16)}`).join('');
  // Base 64 shows a text in three ways, by where it begins in a group of three bytes; its edges depend on the neighbours.
  const base64 = [0, 1, 2].map((skip) =>
    Buffer.from('x'.repeat(skip) + secret)
      .toString('base64')
      .slice(4, -4),
  );
  return [secret.slice(0, middle), secret.slice(middle), backwards, encoded, ...base64];
}

/** @returns the first form of the credential that these bytes hold */
export function findSecret(bytes: Buffer | string): string | undefined {
  return SECRET_FORMS.find((form) => bytes.includes(form));
}

/** What clients were told, looked at as it arrives. */
export class Evidence {
  readonly token: string;
  readonly #exchangeIds: string[] = [];
  #leak: string | null = null;

  constructor(token: string) {
    this.token = token;
  }

  /** The bytes that come on this connection; a form of the credential that lies across two reads is seen too. */
  watch(socket: Socket): void {
    let text = '';
    socket.on('data', (piece: Buffer) => {
      const before = text.slice(-128);
      text = before + piece.toString('latin1');
      this.#leak ??= findSecret(text) ?? null;
      for (const match of text.matchAll(EXCHANGE_ID)) {
        if (match.index + match[0].length > before.length) this.#note(match[1]!);
      }
    });
  }

  /** An id cut in two by a read is first seen short, then whole. */
  #note(id: string): void {
    const last = this.#exchangeIds.at(-1);
    if (last !== undefined && id.startsWith(last)) this.#exchangeIds.pop();
    this.#exchangeIds.push(id);
  }

  /** The exchanges that clients were told of. */
  get exchangeIds(): readonly string[] {
    return this.#exchangeIds;
  }

  get leak(): string | null {
    return this.#leak;
  }

  clear(): void {
    this.#exchangeIds.length = 0;
  }
}

export interface Scene {
  readonly stand: Stand;
  readonly evidence: Evidence;
  /** Records up to here belong to earlier tests. */
  readonly afterSeq: number;
  readonly isUpstreamScripted: boolean;
}

export async function holdInvariants({ stand, evidence, afterSeq, isUpstreamScripted }: Scene): Promise<void> {
  const { gateway, upstream } = stand;
  await eventually(
    'no exchange is left open',
    () => readSpool(gateway.dataDir, afterSeq).openIntents === 0 && hasRecords(),
  );
  if (isUpstreamScripted) await assertServes(stand);

  // I1: the credential is nowhere but in what goes upstream.
  assert.equal(evidence.leak, null, 'a client saw the credential');
  assertNoSecret(gateway.dataDir, gateway.logLines);

  // I4: the upstream sees the credential once, and never a virtual key.
  for (const request of upstream.requests) assertRequestIsClean(request, evidence.token);

  // I5: one record for each arrival.
  const { records } = readSpool(gateway.dataDir, afterSeq);
  assertRecordedOnce(records, evidence.exchangeIds, upstream.requests);

  function hasRecords(): boolean {
    const ids = new Set(readSpool(gateway.dataDir, afterSeq).records.map((record) => record.id as string));
    return evidence.exchangeIds.every((id) => ids.has(id));
  }
}

/** I3 and I7: the same process serves a well-meant request, and at once. */
async function assertServes(stand: Stand): Promise<void> {
  const startedMs = performance.now();
  const reply = await stand.ask({ target: LEGITIMATE.replace('/v1', '/openai') });
  assert.equal(reply.status, 200, `the gateway no longer serves: ${reply.body.toString('utf8', 0, 500)}`);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < SERVED_MS, `a well-meant request took ${Math.round(tookMs)} ms`);
}

export function assertNoSecret(dataDir: string, logLines: readonly string[]): void {
  for (const line of logLines) assert.equal(findSecret(line), undefined, `the log holds the credential: ${line}`);
  for (const entry of readdirSync(dataDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    assert.equal(findSecret(readFileSync(file)), undefined, `the credential is in ${entry.name}`);
  }
}

export function assertRequestIsClean(request: RecordedRequest, token: string): void {
  const what = `${request.method} ${request.target.slice(0, 200)}`;
  assert.deepEqual(valuesOf(request.headers, 'authorization'), [`Bearer ${CANARY}`], what);
  assert.match(request.target, /^\/v1([/?]|$)/, `${what} left /v1`);
  const said = [request.target, ...request.headers.flat()].join('\n');
  assert.ok(!said.includes(token), `${what} tells a virtual key`);
  assert.ok(!/sk-tw-/.test(said), `${what} tells a virtual key`);
}

function assertRecordedOnce(
  records: readonly ExchangeRecord[],
  told: readonly string[],
  requests: readonly RecordedRequest[],
): void {
  const ids = records.map((record) => record.id as string);
  assert.equal(new Set(ids).size, ids.length, 'an exchange has two records');
  for (const id of told) assert.ok(ids.includes(id), `a client was told of ${id}, and there is no record of it`);

  const sent = countBy(
    records,
    (record) => `${record.method} ${record.path}`,
    (record) => record.attempts.length,
  );
  const seen = countBy(
    requests,
    ({ method, target }) => `${method} ${target.split('?', 1)[0]}`,
    () => 1,
  );
  for (const [what, count] of seen) {
    assert.ok(
      count <= (sent.get(what) ?? 0),
      `the upstream saw ${what} ${count} times; records tell of ${sent.get(what) ?? 0}`,
    );
  }
}

function countBy<T>(all: readonly T[], name: (each: T) => string, count: (each: T) => number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const each of all) counts.set(name(each), (counts.get(name(each)) ?? 0) + count(each));
  return counts;
}

export interface SpoolState {
  readonly records: ExchangeRecord[];
  readonly lastSeq: number;
  /** Intents without a record. */
  readonly openIntents: number;
}

const OPEN_INTENTS = 'SELECT count(*) AS count FROM intents WHERE id NOT IN (SELECT id FROM exchanges)';

/** As another process would see it, so that what is not committed does not count. */
export function readSpool(dataDir: string, afterSeq: number): SpoolState {
  const database = new DatabaseSync(join(dataDir, 'spool.db'), { readOnly: true, timeout: 5000 });
  try {
    const rows = database.prepare('SELECT seq, record FROM exchanges WHERE seq > ? ORDER BY seq').all(afterSeq);
    return {
      records: rows.map((row) => JSON.parse(String(row['record'])) as ExchangeRecord),
      lastSeq: Number(rows.at(-1)?.['seq'] ?? afterSeq),
      openIntents: Number(database.prepare(OPEN_INTENTS).get()!['count']),
    };
  } finally {
    database.close();
  }
}
