// Owners of the upstream's objects in the shared store: whoever was first stays it.
import type { Kysely } from 'kysely';

import type { TeamId } from '../domain/id.ts';
import type { OwnedObject, OwnerStore } from '../domain/ownership.ts';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

const ROWS_MAX = 64;

export async function recordOwners(tx: Kysely<Schema>, objects: readonly OwnedObject[]): Promise<void> {
  for (let at = 0; at < objects.length; at += ROWS_MAX) {
    const rows = objects.slice(at, at + ROWS_MAX).map(({ kind, upstreamId, teamId, keyId, exchangeId, createdAt }) => ({
      kind,
      upstream_id: upstreamId,
      team_id: teamId,
      key_id: keyId,
      exchange_id: exchangeId,
      created_at: createdAt,
    }));
    await tx
      .insertInto('owned_objects')
      .values(rows)
      .onConflict((on) => on.columns(['kind', 'upstream_id']).doNothing())
      .execute();
  }
}

export function ownerStore({ db }: Engine): OwnerStore {
  return {
    async findOwner(kind, upstreamId) {
      const query = db.selectFrom('owned_objects').select('team_id').where('kind', '=', kind);
      const row = await query.where('upstream_id', '=', upstreamId).executeTakeFirst();
      // Written by recordOwners: an id of a team.
      return row === undefined ? null : (row.team_id as TeamId);
    },
    own: (objects) => recordOwners(db, objects),
  };
}
