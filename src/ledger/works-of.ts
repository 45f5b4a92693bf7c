// The work that a record says was started, and that is settled later. From the spool alone, as its entry is.
import type { Entry } from '../domain/entry.ts';
import type { ExchangeRecord, ObjectRecord } from '../domain/exchange-record.ts';
import { type NewWork, isWorkKind, settleKeyOf } from '../domain/pending-work.ts';
import type { SpooledRecord } from '../domain/stores.ts';

export function worksOf({ record }: SpooledRecord, entry: Entry, firstLookMs: number): readonly NewWork[] {
  // What versions before this one did not write is absent.
  if (entry.exchangeId === null || (record.objects?.length ?? 0) === 0) return [];
  const [first, ...others] = record.objects;
  const isLeftOpen = entry.state === 'pending';
  const main = first !== undefined && isLeftOpen ? workOf(record, entry, first, firstLookMs, true) : null;
  const rest = isLeftOpen ? others : record.objects;
  const containers = rest.filter(({ kind }) => kind === 'container');
  const beside = containers.map((container) => workOf(record, entry, container, firstLookMs, false));
  return [main, ...beside].filter((work) => work !== null);
}

function workOf(
  record: ExchangeRecord,
  { exchangeId, teamId, keyId, model, at }: Entry,
  { kind, id, asked }: ObjectRecord,
  firstLookMs: number,
  isResolving: boolean,
): NewWork | null {
  if (!isWorkKind(kind) || exchangeId === null) return null;
  return {
    settleKey: settleKeyOf(kind, id),
    kind,
    upstreamId: id,
    startPath: record.path,
    exchangeId,
    teamId,
    keyId,
    model,
    credential: record.attempts.at(-1)?.credential ?? null,
    startedAt: at,
    firstLookAt: at + firstLookMs,
    isResolving,
    asked: asked ?? null,
  };
}
