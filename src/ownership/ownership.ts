// Which team made an object of the upstream account. What this process records is known at once; what others record, as soon as it
// is in the shared store.
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { TeamId } from '../domain/id.ts';
import { type OwnedKind, type OwnerStore, type Ownership, ownedBy } from '../domain/ownership.ts';

export interface OpenOwnership extends Ownership {
  /** A record is about to be written: what it made is known from now on, before it is in the store. */
  see(record: ExchangeRecord): void;
}

/** Far more than are made while a record is on its way into the store. */
const KNOWN_MAX = 10_000;

export function openOwnership(store: Pick<OwnerStore, 'findOwner'>, knownMax: number = KNOWN_MAX): OpenOwnership {
  /** Used last, last. That an object has no owner is not remembered: another replica may record one at any time. */
  const known = new Map<string, TeamId>();

  function remember(key: string, teamId: TeamId): void {
    known.delete(key);
    known.set(key, teamId);
    if (known.size > knownMax) known.delete(known.keys().next().value!);
  }

  return {
    async ownerOf(kind, upstreamId) {
      const key = keyOf(kind, upstreamId);
      const teamId = known.get(key) ?? (await store.findOwner(kind, upstreamId));
      if (teamId !== null) remember(key, teamId);
      return teamId;
    },
    see(record) {
      for (const { kind, upstreamId, teamId } of ownedBy(record)) {
        const key = keyOf(kind, upstreamId);
        remember(key, known.get(key) ?? teamId);
      }
    },
  };
}

function keyOf(kind: OwnedKind, upstreamId: string): string {
  return `${kind} ${upstreamId}`;
}
