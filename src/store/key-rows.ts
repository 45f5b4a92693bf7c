// Rows of teams, keys and users as domain objects, and back. Ids and words were checked when they were written.
import type { Selectable } from 'kysely';

import type { KeyId, TeamId, UserId } from '../domain/id.ts';
import type { VirtualKey } from '../domain/key.ts';
import type { Limits } from '../domain/limits.ts';
import type { Team } from '../domain/team.ts';
import type { User } from '../domain/user.ts';
import type { KeySchema } from './key-schema.ts';

export function teamRow(team: Team): KeySchema['teams'] {
  return {
    id: team.id,
    name: team.name,
    models: JSON.stringify(team.models),
    endpoints: JSON.stringify(team.endpoints),
    limits: JSON.stringify(team.limits),
    tags: JSON.stringify(team.tags),
    metadata: JSON.stringify(team.metadata),
    capture: team.capture,
    status: team.status,
    created_at: team.createdAt,
  };
}

export function toTeam(row: Selectable<KeySchema['teams']>): Team {
  return {
    id: row.id as TeamId,
    name: row.name,
    models: JSON.parse(row.models) as string[],
    endpoints: JSON.parse(row.endpoints) as string[],
    limits: JSON.parse(row.limits) as Limits,
    capture: row.capture as Team['capture'],
    tags: JSON.parse(row.tags) as string[],
    metadata: JSON.parse(row.metadata) as Record<string, unknown>,
    status: row.status as Team['status'],
    createdAt: row.created_at,
  };
}

export function keyRow(key: VirtualKey): KeySchema['keys'] {
  return {
    id: key.id,
    team_id: key.teamId,
    user_id: key.userId,
    name: key.name,
    token_hash: key.tokenHash === '' ? null : key.tokenHash,
    token_hint: key.tokenHint,
    former_hash: key.formerToken?.hash ?? null,
    former_until: key.formerToken?.until ?? null,
    models: JSON.stringify(key.models),
    endpoints: JSON.stringify(key.endpoints),
    allowed_cidrs: JSON.stringify(key.allowedCidrs),
    limits: JSON.stringify(key.limits),
    tags: JSON.stringify(key.tags),
    metadata: JSON.stringify(key.metadata),
    on_disconnect: key.onDisconnect,
    on_unpriced: key.onUnpriced,
    on_unbounded: key.onUnbounded,
    on_overrun: key.onOverrun,
    stream_usage: key.streamUsage,
    capture: key.capture,
    status: key.status,
    expires_at: key.expiresAt,
    created_at: key.createdAt,
  };
}

export function toKey(row: Selectable<KeySchema['keys']>): VirtualKey {
  return {
    id: row.id as KeyId,
    teamId: row.team_id as TeamId,
    userId: row.user_id as UserId | null,
    name: row.name,
    tokenHash: row.token_hash ?? '',
    tokenHint: row.token_hint,
    formerToken:
      row.former_hash === null || row.former_until === null ? null : { hash: row.former_hash, until: row.former_until },
    models: JSON.parse(row.models) as string[],
    endpoints: JSON.parse(row.endpoints) as string[],
    allowedCidrs: JSON.parse(row.allowed_cidrs) as string[],
    limits: JSON.parse(row.limits) as Limits,
    onDisconnect: row.on_disconnect as VirtualKey['onDisconnect'],
    onUnpriced: row.on_unpriced as VirtualKey['onUnpriced'],
    onUnbounded: row.on_unbounded as VirtualKey['onUnbounded'],
    onOverrun: row.on_overrun as VirtualKey['onOverrun'],
    streamUsage: row.stream_usage as VirtualKey['streamUsage'],
    capture: row.capture as VirtualKey['capture'],
    tags: JSON.parse(row.tags) as string[],
    metadata: JSON.parse(row.metadata) as Record<string, unknown>,
    status: row.status as VirtualKey['status'],
    expiresAt: row.expires_at,
    createdAt: row.created_at,
  };
}

export function userRow(user: User): KeySchema['users'] {
  return {
    id: user.id,
    name: user.name,
    role: user.role,
    team_id: user.teamId,
    token_hash: user.tokenHash,
    token_hint: user.tokenHint,
    limits: JSON.stringify(user.limits),
    metadata: JSON.stringify(user.metadata),
    status: user.status,
    created_at: user.createdAt,
  };
}

export function toUser(row: Selectable<KeySchema['users']>): User {
  return {
    id: row.id as UserId,
    name: row.name,
    role: row.role as User['role'],
    teamId: row.team_id as TeamId | null,
    tokenHash: row.token_hash,
    tokenHint: row.token_hint,
    limits: JSON.parse(row.limits) as Limits,
    metadata: JSON.parse(row.metadata) as Record<string, unknown>,
    status: row.status as User['status'],
    createdAt: row.created_at,
  };
}
