// A gateway whose day can be chosen, and what its ledger says of each exchange that goes through it.
import assert from 'node:assert/strict';

import type { Settings } from '../../src/config/config.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { ExchangeRecord } from '../../src/domain/exchange-record.ts';
import { formatUsd, parseUsd } from '../../src/domain/money.ts';
import type { RawReply, RawRequest } from '../support/raw-client.ts';
import type { ScriptedReply } from '../support/recorder.ts';
import { type Stand, openStand } from '../support/stand.ts';
import type { Header } from '../support/wire.ts';

export const JSON_TYPE: Header = ['Content-Type', 'application/json'];
export const EVENTS_TYPE: Header = ['Content-Type', 'text/event-stream'];

/** A wall clock that can be set; time goes on from there. */
export function datedClock(text: string): Clock & { set(text: string): void } {
  let [base, sinceMs] = [Date.parse(text), performance.now()];
  return {
    now: () => base + Math.floor(performance.now() - sinceMs),
    elapsedMs: () => performance.now(),
    set(to) {
      [base, sinceMs] = [Date.parse(to), performance.now()];
    },
  };
}

/** Sums of the whole ledger. */
export interface Totals {
  readonly exchanges: number;
  readonly measured_usd: string;
  readonly estimated_usd: string;
  readonly partial: number;
  readonly pending: number;
  readonly unpriced: number;
  readonly free: number;
}

export interface CostStand {
  readonly stand: Stand;
  readonly clock: ReturnType<typeof datedClock>;
  totals(): Promise<Totals>;
  /** One exchange: its reply, its record, and what it changed in the ledger, which is what the record says. */
  exchange(request: RawRequest, answer: ScriptedReply): Promise<{ reply: RawReply; record: ExchangeRecord }>;
  /** Whatever `act` does is one exchange with one record. */
  entered(act: () => Promise<unknown>): Promise<ExchangeRecord>;
  /** How many sums do not agree with the entries. */
  drift(): Promise<number>;
  close(): Promise<void>;
}

export async function openCostStand(at = '2026-11-22T10:00:00Z', settings: Settings = {}): Promise<CostStand> {
  const clock = datedClock(at);
  const stand = await openStand({ clock, settings });

  async function totals(): Promise<Totals> {
    const reply = await stand.gateway.adminFetch('/admin/v1/spend?from=2025-01-01&to=2028-01-01');
    assert.equal(reply.status, 200);
    return ((await reply.json()) as { totals: Totals }).totals;
  }

  async function entered(act: () => Promise<unknown>): Promise<ExchangeRecord> {
    const before = await totals();
    stand.clear();
    await act();
    const [record, ...others] = await stand.recorded(1);
    assert.deepEqual(others, []);
    assertEntered(before, await totals(), record!);
    return record!;
  }

  return {
    stand,
    clock,
    totals,
    entered,
    async exchange(request, answer) {
      let reply: RawReply | null = null;
      const record = await entered(async () => {
        stand.script(async (seen) => {
          await seen.whole();
          return answer;
        });
        reply = await stand.ask(request);
      });
      return { reply: reply!, record };
    },
    async drift() {
      const reply = await stand.gateway.adminFetch('/admin/v1/ledger/drift');
      const { window_count, rollup_count } = (await reply.json()) as { window_count: number; rollup_count: number };
      return window_count + rollup_count;
    },
    close: () => stand.close(),
  };
}

/** The ledger moved by what the record says, and by nothing else. */
export function assertEntered(before: Totals, after: Totals, { cost }: ExchangeRecord): void {
  const amount = BigInt(cost.pico_usd ?? '0');
  const isMeasured = cost.state === 'priced' || cost.state === 'partial';
  const moved = (field: 'measured_usd' | 'estimated_usd') =>
    formatUsd(parseUsd(after[field]) - parseUsd(before[field]));
  const counted = (field: 'partial' | 'pending' | 'unpriced' | 'free') => after[field] - before[field];
  assert.deepEqual(
    {
      exchanges: after.exchanges - before.exchanges,
      measured: moved('measured_usd'),
      estimated: moved('estimated_usd'),
      partial: counted('partial'),
      pending: counted('pending'),
      unpriced: counted('unpriced'),
      free: counted('free'),
    },
    {
      exchanges: 1,
      measured: isMeasured ? formatUsd(amount) : '0',
      estimated: isMeasured ? '0' : formatUsd(amount),
      partial: cost.state === 'partial' ? 1 : 0,
      pending: cost.state === 'pending' ? 1 : 0,
      unpriced: cost.state === 'unpriced' ? 1 : 0,
      free: cost.state === 'free' ? 1 : 0,
    },
  );
}

export function readingsOf({ usage }: ExchangeRecord): Record<string, string> | null {
  if (usage.readings === null) return null;
  return Object.fromEntries(
    usage.readings.map(({ meter, variant, quantity }) => [
      variant === undefined ? meter : `${meter}/${variant}`,
      quantity,
    ]),
  );
}

/** The lines of a priced cost: each says how it was made, and together they are the cost. */
export function assertLines({ cost, usage }: ExchangeRecord): void {
  assert.equal(cost.lines.length, usage.readings?.length ?? 0);
  const sum = cost.lines.reduce((total, line) => total + BigInt(line.pico_usd), 0n);
  assert.equal(sum, BigInt(cost.pico_usd ?? '0'));
  if (cost.lines.length > 0) assert.match(cost.price_version ?? '', /^prices_/);
}

export function asJson(body: unknown, status = 200): ScriptedReply {
  return { status, headers: [JSON_TYPE], body: JSON.stringify(body) };
}

export function asEvents(events: readonly string[]): ScriptedReply {
  return { headers: [EVENTS_TYPE], body: events, framing: 'chunked' };
}

/** Events as most endpoints send them, and as chats do. */
export const named = (...events: readonly object[]): string[] =>
  events.map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`);
export const unnamed = (...chunks: readonly object[]): string[] => [
  ...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`),
  'data: [DONE]\n\n',
];

const BOUNDARY = 'cost7MA4YWxk';

export function form(fields: Readonly<Record<string, string>>, file?: { name: string; bytes: Buffer }): RawForm {
  const head = (name: string, rest = '') =>
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${rest}\r\n\r\n`);
  const parts = Object.entries(fields).map(([name, value]) => Buffer.concat([head(name), Buffer.from(`${value}\r\n`)]));
  if (file !== undefined)
    parts.push(Buffer.concat([head('file', `; filename="${file.name}"`), file.bytes, Buffer.from('\r\n')]));
  return {
    headers: [['Content-Type', `multipart/form-data; boundary=${BOUNDARY}`]],
    body: Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]),
  };
}

interface RawForm {
  readonly headers: readonly Header[];
  readonly body: Buffer;
}

/** One chunk of a chunked body. */
export function asChunk(piece: string | Buffer): Buffer {
  const bytes = Buffer.from(piece as string);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

export function json(body: object): RawForm {
  return { headers: [JSON_TYPE], body: Buffer.from(JSON.stringify(body)) };
}
