// Who calls the admin API, and how far it sees: those of a team meet everything beyond it as if it were not there.
import type { Actor } from '../domain/audit.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { TeamId } from '../domain/id.ts';
import { Refusal } from '../domain/refusal.ts';
import { DEFAULT_TEAM_NAME, type Team } from '../domain/team.ts';
import type { Role } from '../domain/user.ts';
import { type Keys, UnknownTeam } from '../keys/keys.ts';
import { ACCESS, type Access } from './route.ts';

export interface Visitor {
  readonly actor: Actor;
  readonly role: Role;
  /** The only team that it sees; null sees all. */
  readonly teamId: TeamId | null;
}

/** What each role may give to users, and whose users it may change: nobody makes more of anybody than it is itself. */
const GIVES: Readonly<Record<Role, readonly Role[]>> = {
  owner: ['owner', 'admin', 'viewer', 'team_admin', 'team_member'],
  admin: ['viewer', 'team_admin', 'team_member'],
  viewer: [],
  team_admin: ['team_admin', 'team_member'],
  team_member: [],
};

/** An id that nobody has: what is asked about another team finds as little as what is asked about none. */
const NOBODY: TeamId = 'team_';

/** @throws Refusal */
export function checkMayCall({ role, teamId }: Visitor, access: Access): void {
  const { roles, isConfined }: { readonly roles: readonly Role[]; readonly isConfined: boolean } = ACCESS[access];
  if (roles.includes(role)) {
    // What is not confined answers everybody the same: `any` tells nothing of any team.
    if (teamId === null || isConfined || access === 'any') return;
    throw new Error(`the route of access ${access} would show a ${role} more than its team`);
  }
  throw new Refusal('role_not_allowed', `The role ${role} may not do this; it takes ${roles.join(' or ')}.`);
}

/** @throws Refusal where a role is above what the visitor may give, or the user of it above whom it may change */
export function checkMayGive({ role }: Visitor, given: Role, param: 'role' | 'id'): void {
  if (GIVES[role].includes(given)) return;
  const what = param === 'role' ? `may not give the role ${given}` : `may not change users of the role ${given}`;
  const most = GIVES[role].length === 0 ? 'none' : GIVES[role].join(', ');
  throw new Refusal('role_not_allowed', `The role ${role} ${what}, but ${most}.`, { param });
}

export function sees({ teamId }: Visitor, other: string | null): boolean {
  return teamId === null || teamId === other;
}

/** The team that a list is of, where it was asked for one. */
export function teamOfList({ teamId }: Visitor, asked: string | undefined): TeamId | undefined {
  // Ids were branded when they were written; one that nobody wrote finds nothing.
  if (teamId === null) return asked as TeamId | undefined;
  return asked === undefined || asked === teamId ? teamId : NOBODY;
}

/** The team that is named, or the visitor's own. @throws UnknownTeam */
export async function teamNamed(keys: Keys, visitor: Visitor, named: string | undefined): Promise<Team> {
  const wanted = named ?? visitor.teamId ?? DEFAULT_TEAM_NAME;
  const team = await keys.teams.find(wanted);
  if (team === null || team.status === 'deleted' || !sees(visitor, team.id)) throw new UnknownTeam(wanted);
  return team;
}

/** What may be named in two ways is named in one. @throws ChangeRefused */
export function oneOf<T extends string | null>(field: string, one: T | undefined, other: T | undefined): T | undefined {
  if (one !== undefined && other !== undefined)
    throw new ChangeRefused('invalid', field, String(one), `it is named by ${field}_id too; write one of the two`);
  return one === undefined ? other : one;
}

/** @throws Refusal: not there, or not for the visitor's eyes */
export function missing(what: string, id: string, param = 'id'): never {
  throw new Refusal('not_found', `There is no ${what} "${id.slice(0, 100)}".`, { param });
}
