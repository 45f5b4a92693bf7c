// Who guesses keys is told 429 in place of 401. Only asked about keys that open nothing: good ones are never kept out.
import { isIPv6 } from 'node:net';

import type { Clock } from '../domain/clock.ts';
import { Refusal } from '../domain/refusal.ts';
import { MINUTE_MS } from './minute-log.ts';
import { duration } from './tell.ts';

/** Addresses remembered; the one that was longest silent goes first. */
const ADDRESSES_MAX = 10_000;

export interface BadKeys {
  /** Counts a key that opens nothing; a refusal where there were too many from this address. */
  note(address: string): Refusal | null;
}

export function openBadKeys(perMinute: number, clock: Clock): BadKeys {
  /** By address, when it would have used up nothing: one number counts what leaks away evenly. */
  const emptyAt = new Map<string, number>();
  const eachMs = MINUTE_MS / perMinute;
  return {
    note(address) {
      if (perMinute === 0) return null;
      const network = networkOf(address);
      const nowMs = clock.elapsedMs();
      const before = Math.max(emptyAt.get(network) ?? 0, nowMs);
      const waitMs = before + eachMs - nowMs - MINUTE_MS;
      const isTooMany = waitMs > 0;
      // Deleted first, so that the order is that of the last word.
      emptyAt.delete(network);
      if (emptyAt.size >= ADDRESSES_MAX) emptyAt.delete(emptyAt.keys().next().value!);
      emptyAt.set(network, isTooMany ? before : before + eachMs);
      if (!isTooMany) return null;
      const retryAfterMs = Math.ceil(waitMs);
      const message = `More than ${perMinute} requests a minute came from this address with a key that opens nothing. Check the key; its answer comes again in ${duration(retryAfterMs)}.`;
      // The same key would open nothing then either: a client need not try it again by itself.
      return new Refusal('rate_limit_exceeded', message, { retryAfterMs, retry: false });
    },
  };
}

/** One host has a whole /64 of IPv6 to itself. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1);
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    while (groups.length + last.length < 8) groups.push('0');
    groups.push(...last);
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
