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
  // Of what was asked is written where something is to be learnt later.
  const isGuessed = !isLeftOpen && first?.asked !== undefined;
  const part = isLeftOpen ? RESOLVING : isGuessed ? GUESSED : null;
  const main = first !== undefined && part !== null ? workOf(record, entry, first, firstLookMs, part) : null;
  const rest = part === null ? record.objects : others;
  const containers = rest.filter(({ kind }) => kind === 'container');
  const beside = containers.map((container) => workOf(record, entry, container, firstLookMs, BESIDE));
  return [main, ...beside].filter((work) => work !== null);
}

type WorkPart = Pick<NewWork, 'isResolving' | 'isGuessed'>;
const RESOLVING: WorkPart = { isResolving: true };
const GUESSED: WorkPart = { isResolving: false, isGuessed: true };
const BESIDE: WorkPart = { isResolving: false };

function workOf(
  record: ExchangeRecord,
  { exchangeId, teamId, keyId, model, at }: Entry,
  { kind, id, asked }: ObjectRecord,
  firstLookMs: number,
  part: WorkPart,
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
    ...part,
    asked: asked ?? null,
  };
}
