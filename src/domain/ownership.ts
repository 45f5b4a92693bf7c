// Whose the objects of the upstream account are. All teams share the account, so that the upstream cannot tell them apart: what an
// exchange made here belongs to the team of its key, as its record says. Nobody owns what was made before, or elsewhere.
import type { ExchangeRecord } from './exchange-record.ts';
import type { ExchangeId, KeyId, TeamId } from './id.ts';

export const OWNED_KINDS = ['file', 'vector_store', 'container', 'upload'] as const;
export type OwnedKind = (typeof OWNED_KINDS)[number];

export interface OwnedObject {
  readonly kind: OwnedKind;
  readonly upstreamId: string;
  readonly teamId: TeamId;
  /** Null of what an import names. */
  readonly keyId: KeyId | null;
  readonly exchangeId: ExchangeId | null;
  /** Milliseconds since 1970, as the gateway learnt of it. */
  readonly createdAt: number;
}

/** Rows come to be with the entries of the exchanges that made the objects (LedgerStore.post), or by `own`. */
export interface OwnerStore {
  findOwner(kind: OwnedKind, upstreamId: string): Promise<TeamId | null>;
  /** What has an owner already stays its. */
  own(objects: readonly OwnedObject[]): Promise<void>;
}

export interface Ownership {
  /** Null where nobody recorded the object. */
  ownerOf(kind: OwnedKind, upstreamId: string): Promise<TeamId | null>;
}

export function ownedBy(record: ExchangeRecord): readonly OwnedObject[] {
  const { team_id: teamId, key_id: keyId, id: exchangeId } = record;
  // What versions before this one did not write is absent.
  const objects: ExchangeRecord['objects'] | undefined = record.objects;
  if (teamId === null || objects === undefined || objects.length === 0) return NONE;
  const createdAt = Date.parse(record.at);
  return objects.flatMap(({ kind, id }) =>
    isOwnedKind(kind) ? [{ kind, upstreamId: id, teamId, keyId, exchangeId, createdAt }] : [],
  );
}

const NONE: readonly OwnedObject[] = [];

function isOwnedKind(kind: string): kind is OwnedKind {
  return (OWNED_KINDS as readonly string[]).includes(kind);
}
