import type { TeamId, UserId } from './id.ts';
import type { Limits } from './limits.ts';

/**
 * - `owner`, `admin`: change everything; only an owner changes owners and admins.
 * - `viewer`: sees everything.
 * - `team_admin`, `team_member`: see their team only; the admin changes it and its keys, within what the team allows.
 */
export type Role = 'owner' | 'admin' | 'viewer' | 'team_admin' | 'team_member';

/** A person whom keys may name, and who may hold a token of the admin API. */
export interface User {
  readonly id: UserId;
  /** Unique among users that were not deleted; an address or any other name. */
  readonly name: string;
  readonly role: Role;
  /** The team that a `team_admin` or `team_member` belongs to; null for the others. */
  readonly teamId: TeamId | null;
  /** SHA-256 of the token for the admin API, lower-case hex; null where the user has none. */
  readonly tokenHash: string | null;
  readonly tokenHint: string | null;
  readonly limits: Limits;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status: 'active' | 'suspended' | 'deleted';
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** What an audit row digests of a user: all but what the token could be found by. */
export function auditedUser(user: User): unknown {
  return { ...user, tokenHash: undefined };
}
