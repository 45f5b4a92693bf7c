// The entry that a record makes. From the spool alone, so that the same records make the same ledger at any time.
import type { Hold } from '../domain/budget.ts';
import { type Charge, type Entry, chargesOf, moneyHeld, turnChargesOf } from '../domain/entry.ts';
import { type ExchangeRecord, recordMs } from '../domain/exchange-record.ts';
import type { ExpiredHold } from '../domain/ledger-store.ts';
import type { SpooledRecord } from '../domain/stores.ts';
import { tokensOf } from './tokens-of.ts';

/** Models and tags are what clients wrote: rows of sums are made of them. */
const NAME_CHARACTERS_MAX = 100;
/** A thousand million dollars. */
const AMOUNT_MAX = 10n ** 21n;

/** Null for a record that nobody pays for: one of an arrival that was refused, or that nobody is known to stand behind. */
export function entryOf({ record: written, hold }: SpooledRecord): Entry | null {
  // Written by this house; what versions before this one did not write is absent.
  const record: ExchangeRecord & Partial<ExchangeRecord> = written;
  if (record.team_id === null || record.refusal !== null) return null;
  const isTurn = record.kind === 'turn';
  const isCut = isTurn && record.ending !== 'complete';
  const readings = record.usage.readings ?? null;
  // What is read again was counted when it was made.
  const tokens = readings === null || record.cost.state === 'free' ? null : tokensOf(readings);
  const told = amountOf(record);
  const { state, amount, why } = costOf(record, told, isTurn && !isCut ? null : hold);
  let charges: Charge[] = [];
  if (hold !== null) {
    const outcome = {
      state: record.cost.state,
      amount: told,
      tokens: tokens === null ? null : tokens.in + tokens.out,
      isCut,
    };
    charges = isTurn ? turnChargesOf(hold, outcome) : chargesOf(hold, outcome);
  }
  const entry: Writable<Entry> = {
    settleKey: record.id,
    kind: 'charge',
    isExchange: !isTurn,
    exchangeId: record.id,
    teamId: record.team_id,
    keyId: record.key_id,
    userId: record.user_id ?? null,
    endpoint: record.endpoint,
    model: nameOf(record.model_served ?? record.model_requested),
    tags: tagsOf(record.tags),
    state,
    amount,
    why,
    tokensIn: tokens?.in ?? 0,
    tokensOut: tokens?.out ?? 0,
    priceVersion: record.cost.price_version ?? null,
    lines: record.cost.lines ?? [],
    readings: readings ?? [],
    charges,
    at: recordMs(record.at),
    resolves: null,
    servicePeriod: null,
  };
  const { basis } = record.cost;
  if (basis !== undefined) entry.basis = basis;
  return entry;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const NO_TAGS: readonly string[] = [];

function tagsOf(tags: readonly string[] | undefined): readonly string[] {
  if (tags === undefined || tags.length === 0) return NO_TAGS;
  return tags.map((tag) => nameOf(tag) ?? '').filter((tag) => tag !== '');
}

/** What is unknown costs what was set aside for it, until somebody knows better. */
function costOf(
  record: ExchangeRecord,
  amount: bigint | null,
  hold: Hold | null,
): Pick<Entry, 'state' | 'amount' | 'why'> {
  const { state } = record.cost;
  const why = record.cost.why ?? null;
  if (amount === null && state !== 'pending' && state !== 'free' && hold !== null) {
    const held = moneyHeld(hold);
    if (held > 0n) return { state: 'estimated', amount: held, why: 'hold_stands' };
  }
  return { state, amount, why };
}

/** @throws RangeError for what no exchange costs: it would put the sums of all others out of reach */
function amountOf({ cost }: ExchangeRecord): bigint | null {
  if (cost.pico_usd === null) return null;
  const amount = BigInt(cost.pico_usd);
  if (amount >= AMOUNT_MAX || amount <= -AMOUNT_MAX) throw new RangeError(`an amount of ${amount} pico-dollars`);
  return amount;
}

const CONTROL = /[\u0000-\u001f\u007f]/;
const CONTROLS = /[\u0000-\u001f\u007f]/g;

/** Without characters that no database takes, or that tear sums apart. */
export function nameOf(text: string | null): string | null {
  if (text === null) return null;
  const name = CONTROL.test(text) ? text.replaceAll(CONTROLS, '') : text;
  return name.length > NAME_CHARACTERS_MAX ? name.slice(0, NAME_CHARACTERS_MAX) : name;
}

/** What a sweeper needs to know of an exchange whose replica is gone. */
export type HoldDetails = Pick<Entry, 'teamId' | 'keyId' | 'userId' | 'endpoint' | 'model' | 'tags' | 'at'>;

export function entryOfExpired({ exchangeId, amounts, details }: ExpiredHold): Entry {
  // Written by the ledger when it placed the hold.
  const known = JSON.parse(details) as HoldDetails;
  const hold = { exchangeId, amounts };
  const held = moneyHeld(hold);
  return {
    ...known,
    settleKey: exchangeId,
    kind: 'charge',
    isExchange: true,
    exchangeId,
    state: held > 0n ? 'estimated' : 'unpriced',
    amount: held > 0n ? held : null,
    why: 'hold_expired',
    tokensIn: 0,
    tokensOut: 0,
    priceVersion: null,
    lines: [],
    readings: [],
    charges: chargesOf(hold, { state: 'unpriced', amount: null, tokens: null }),
    resolves: null,
    servicePeriod: null,
  };
}
