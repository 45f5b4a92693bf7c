// Teams: made, changed, suspended, deleted. What a team may no longer, its keys may no longer.
import type { Actor } from '../domain/audit.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Clock } from '../domain/clock.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import { type TeamId, newId } from '../domain/id.ts';
import type { Limits } from '../domain/limits.ts';
import type { Listed, Page, TeamStore } from '../domain/stores.ts';
import { DEFAULT_TEAM_NAME, TEAM_DEFAULTS, type Team } from '../domain/team.ts';
import { MOVES, checkAlive, moved, saidOf } from './moves.ts';
import { checkScopes } from './narrowing.ts';

/** What is left out stays as it is, or as it is by default. */
export interface TeamChanges {
  readonly name?: string | undefined;
  readonly models?: readonly string[] | undefined;
  readonly endpoints?: readonly string[] | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

export interface NewTeam extends TeamChanges {
  readonly name: string;
}

/** Changes are in force here once they resolve. Null for an unknown id. They throw ChangeRefused. */
export interface Teams {
  create(team: NewTeam, actor: Actor): Promise<Team>;
  update(id: TeamId, changes: TeamChanges, actor: Actor): Promise<Team | null>;
  /** Its keys open nothing until it is resumed. */
  suspend(id: TeamId, actor: Actor): Promise<Team | null>;
  resume(id: TeamId, actor: Actor): Promise<Team | null>;
  /** Kept for its history; its name is free again, and its keys never open anything again. */
  delete(id: TeamId, actor: Actor): Promise<Team | null>;
  /** By id also one that was deleted. */
  find(idOrName: string): Promise<Team | null>;
  list(page: Page, filter: { readonly status?: Team['status'] | undefined }): Promise<Listed<Team>>;
}

/** @param changed told of a change that was made */
export function openTeams(
  store: TeamStore,
  endpoints: readonly Endpoint[],
  clock: Clock,
  changed: (team: Team) => Promise<void>,
): Teams {
  async function move(id: TeamId, how: 'suspend' | 'resume' | 'delete', actor: Actor): Promise<Team | null> {
    const { action } = MOVES[how];
    const change = (team: Team) => {
      if (how === 'delete') checkNotDefault(team, 'deleted');
      return moved(team, MOVES[how]);
    };
    return told(await store.updateTeam(id, change, { actor, action }));
  }

  async function told(team: Team | null): Promise<Team | null> {
    if (team !== null) await changed(team);
    return team;
  }

  return {
    async create({ name, limits, ...changes }, actor) {
      const createdAt = clock.now();
      const team: Team = {
        ...TEAM_DEFAULTS,
        ...saidOf(changes),
        limits: { ...TEAM_DEFAULTS.limits, ...limits },
        id: newId('team', createdAt),
        name,
        createdAt,
      };
      checkScopes(team, endpoints);
      await store.insertTeam(team, { actor, action: 'created' });
      return team;
    },
    async update(id, { limits, ...changes }, actor) {
      const change = (team: Team) => {
        checkAlive(team);
        if (changes.name !== undefined && changes.name !== team.name) checkNotDefault(team, 'renamed');
        const next: Team = { ...team, ...saidOf(changes), limits: { ...team.limits, ...limits } };
        checkScopes(next, endpoints);
        return next;
      };
      return told(await store.updateTeam(id, change, { actor, action: 'updated' }));
    },
    suspend: (id, actor) => move(id, 'suspend', actor),
    resume: (id, actor) => move(id, 'resume', actor),
    delete: (id, actor) => move(id, 'delete', actor),
    // Both are strings; a name may look like an id, so both are asked.
    find: async (idOrName) => (await store.findTeam(idOrName as TeamId)) ?? (await store.findTeamByName(idOrName)),
    list: (page, filter) => store.listTeams(page, filter),
  };
}

/** Keys of no team in particular go to it. */
function checkNotDefault(team: Team, what: 'deleted' | 'renamed'): void {
  if (team.name !== DEFAULT_TEAM_NAME) return;
  throw new ChangeRefused(
    'state',
    'name',
    team.name,
    `this team cannot be ${what}: keys that name no team belong to it`,
  );
}
