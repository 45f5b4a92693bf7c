// The door to virtual keys, their teams and their users: found by token, made, changed, closed.
import { type Actor, SYSTEM } from '../domain/audit.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Clock } from '../domain/clock.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import { type KeyId, type UserId, newId } from '../domain/id.ts';
import { type Caller, KEY_DEFAULTS, type VirtualKey } from '../domain/key.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import type { KeyFilter, Listed, Page, TeamStore } from '../domain/stores.ts';
import { DEFAULT_TEAM_NAME, TEAM_DEFAULTS, type Team } from '../domain/team.ts';
import { type CallerStores, type Callers, type Closed, openCallers } from './callers.ts';
import { MOVES, checkAlive, moved, saidOf } from './moves.ts';
import { checkKey } from './narrowing.ts';
import { type Teams, openTeams } from './teams.ts';
import { equalHashes, formOf, hashToken, newAdminToken, newToken, tokenHint } from './token.ts';
import { type Users, openUsers } from './users.ts';

type Settable =
  | 'name'
  | 'models'
  | 'endpoints'
  | 'allowedCidrs'
  | 'onDisconnect'
  | 'onUnpriced'
  | 'onUnbounded'
  | 'onOverrun'
  | 'streamUsage'
  | 'tags'
  | 'metadata'
  | 'expiresAt';

/** What is left out stays as it is, or as it is by default. */
export type KeyChanges = { readonly [N in Settable]?: VirtualKey[N] | undefined } & {
  readonly limits?: Partial<Limits> | undefined;
  /** Id or name; null for nobody in particular. */
  readonly user?: string | null | undefined;
};

export type NewKey = KeyChanges & {
  readonly name: string;
  /** Id or name; the default team where it is absent. A key stays with its team. */
  readonly team?: string | undefined;
  /** In place of a new one: 16 to 256 visible characters that nobody else knows. */
  readonly token?: string | undefined;
};

export interface Rotation {
  /** How long the token before opens too, milliseconds; 0 is not at all. */
  readonly graceMs: number;
  readonly token?: string | undefined;
}

/** A token is given this once and kept nowhere. */
export interface KeyAndToken {
  readonly key: VirtualKey;
  readonly token: string;
}

/** Changes are in force here once they resolve. Null for an unknown id. They throw ChangeRefused. */
export interface Keys {
  readonly teams: Teams;
  readonly users: Users;
  /**
   * Who stands behind a token; null for one that opens nothing. Answers at once for a caller it remembers.
   * @throws Refusal (also from the promise) where it cannot be looked up
   */
  findCaller(token: string): Caller | null | Promise<Caller | null>;
  /** Who stands behind a key that opens now, without its token: for what the gateway does in a key's name. */
  callerOf(id: KeyId): Promise<Caller | null>;
  /** Called for each key, or token of one, that let somebody in here and opens no more. @returns takes the listener away */
  onClosed(listener: (closed: Closed) => void): () => void;
  create(key: NewKey, actor: Actor): Promise<KeyAndToken>;
  update(id: KeyId, changes: KeyChanges, actor: Actor): Promise<VirtualKey | null>;
  rotate(id: KeyId, rotation: Rotation, actor: Actor): Promise<KeyAndToken | null>;
  suspend(id: KeyId, actor: Actor): Promise<VirtualKey | null>;
  resume(id: KeyId, actor: Actor): Promise<VirtualKey | null>;
  revoke(id: KeyId, actor: Actor): Promise<VirtualKey | null>;
  /** Kept for its history; its token may be given to another key. */
  delete(id: KeyId, actor: Actor): Promise<VirtualKey | null>;
  /** Also one that was deleted. */
  find(id: KeyId): Promise<VirtualKey | null>;
  /** By its token or by the one before the last rotation, whether or not that still opens. */
  findByTokenHash(tokenHash: string): Promise<VirtualKey | null>;
  list(page: Page, filter: Omit<KeyFilter, 'at'>): Promise<Listed<VirtualKey>>;
  count(): Promise<number>;
  close(): void;
}

export type { Closed } from './callers.ts';
export { mayCallEndpoint, mayCallFrom, mayCallModel } from './scopes.ts';
export { newAdminToken, equalHashes, hashToken, formOf };

/**
 * @param endpoints the rows that rules of endpoints speak of
 * @param rememberMs how long a caller is believed without asking the store again, and between looks at what other replicas
 *   changed: the longest that a revocation elsewhere goes unseen. Null where this process is the only one.
 */
export async function openKeys(
  stores: CallerStores,
  endpoints: readonly Endpoint[],
  clock: Clock,
  rememberMs: number | null,
): Promise<Keys> {
  await makeDefaultTeam(stores.teams, clock);
  const callers = await openCallers(stores, clock, rememberMs);
  const changed = (thing: { readonly id: string }) => callers.forget([thing]);
  const teams = openTeams(stores.teams, endpoints, clock, changed);
  const users = openUsers(stores.users, stores.teams, clock, changed);
  return {
    teams,
    users,
    ...openKeyChanges(stores, teams, users, callers, endpoints, clock),
    findCaller: callers.find,
    callerOf: callers.ofKey,
    onClosed: callers.onClosed,
    find: (id) => stores.keys.findKey(id),
    findByTokenHash: (tokenHash) => stores.keys.findKeyByTokenHash(tokenHash),
    list: (page, filter) => stores.keys.listKeys(page, { ...filter, at: clock.now() }),
    count: () => stores.keys.countKeys(),
    close: () => callers.close(),
  };
}

type KeyDoings = Pick<Keys, 'create' | 'update' | 'rotate' | 'suspend' | 'resume' | 'revoke' | 'delete'>;

function openKeyChanges(
  { keys }: CallerStores,
  teams: Teams,
  users: Users,
  callers: Callers,
  endpoints: readonly Endpoint[],
  clock: Clock,
): KeyDoings {
  async function told(key: VirtualKey | null): Promise<VirtualKey | null> {
    if (key !== null) await callers.forget([key]);
    return key;
  }

  const move = async (id: KeyId, how: keyof typeof MOVES, actor: Actor) => {
    const change = (key: VirtualKey) => {
      const after = moved(key, MOVES[how]);
      return after.status === 'deleted' && after !== key ? { ...after, tokenHash: '', formerToken: null } : after;
    };
    return told(await keys.updateKey(id, change, { actor, action: MOVES[how].action }));
  };

  /** @throws ChangeRefused for a text that is no token, or another key's */
  async function checkGiven(token: string | undefined): Promise<void> {
    if (token === undefined) return;
    if (formOf(token) === null) {
      const allowed =
        'give 16 to 256 visible ASCII characters; those that begin like the gateway’s own must be one of them';
      throw new ChangeRefused('invalid', 'token', HIDDEN, allowed);
    }
    if ((await keys.findKeyByTokenHash(hashToken(token))) === null) return;
    throw new ChangeRefused('taken', 'token', HIDDEN, 'a key has that token; give one that is used nowhere else');
  }

  /** The user whom a key shall name. */
  async function userOf(idOrName: string | null | undefined, teamId: Team['id']): Promise<UserId | null> {
    if (idOrName === undefined || idOrName === null) return null;
    const user = await users.find(idOrName);
    if (user === null || user.status === 'deleted') {
      throw new ChangeRefused('unknown', 'user', idOrName, 'give a user’s id or name');
    }
    if (user.teamId === null || user.teamId === teamId) return user.id;
    throw new ChangeRefused('invalid', 'user', idOrName, 'this user belongs to another team than the key');
  }

  return {
    async create({ name, team: wanted, user, token: given, limits, ...changes }, actor) {
      const team = await teams.find(wanted ?? DEFAULT_TEAM_NAME);
      if (team === null || team.status === 'deleted') throw new UnknownTeam(wanted ?? DEFAULT_TEAM_NAME);
      await checkGiven(given);
      const token = given ?? newToken();
      const createdAt = clock.now();
      const key: VirtualKey = {
        ...KEY_DEFAULTS,
        ...saidOf(changes),
        id: newId('key', createdAt),
        teamId: team.id,
        userId: await userOf(user, team.id),
        name,
        limits: { ...UNLIMITED, ...limits },
        tokenHash: hashToken(token),
        tokenHint: tokenHint(token),
        createdAt,
      };
      checkKey(key, team, endpoints);
      checkExpiry(key.expiresAt, clock);
      await keys.insertKey(key, { actor, action: 'created' });
      // Its token may just have been refused as unknown.
      await callers.forget([key]);
      return { key, token };
    },
    async update(id, { user, limits, ...changes }, actor) {
      const key = await keys.findKey(id);
      if (key === null) return null;
      const named = user === undefined ? {} : { userId: await userOf(user, key.teamId) };
      const said = saidOf(changes);
      checkExpiry(said.expiresAt ?? null, clock);
      const change = (before: VirtualKey, team: Team): VirtualKey => {
        checkAlive(before);
        // What the key was given before the team was narrowed stands, and opens nothing: only what is said now is checked.
        checkKey({ ...before, ...KEY_DEFAULTS, ...said, limits: { ...UNLIMITED, ...limits } }, team, endpoints);
        return { ...before, ...said, ...named, limits: { ...before.limits, ...limits } };
      };
      return told(await keys.updateKey(id, change, { actor, action: 'updated' }));
    },
    async rotate(id, { graceMs, token: given }, actor) {
      if (!Number.isSafeInteger(graceMs) || graceMs < 0) {
        throw new ChangeRefused(
          'invalid',
          'grace_seconds',
          String(graceMs / 1000),
          'write a number of seconds from 0 on',
        );
      }
      await checkGiven(given);
      const token = given ?? newToken();
      const change = (key: VirtualKey): VirtualKey => {
        checkAlive(key);
        const formerToken = graceMs === 0 ? null : { hash: key.tokenHash, until: clock.now() + graceMs };
        return { ...key, formerToken, tokenHash: hashToken(token), tokenHint: tokenHint(token) };
      };
      const key = await told(await keys.updateKey(id, change, { actor, action: 'rotated' }));
      return key && { key, token };
    },
    suspend: (id, actor) => move(id, 'suspend', actor),
    resume: (id, actor) => move(id, 'resume', actor),
    revoke: (id, actor) => move(id, 'revoke', actor),
    delete: (id, actor) => move(id, 'delete', actor),
  };
}

/** In place of a token in messages. */
const HIDDEN = '[not shown]';

export class UnknownTeam extends ChangeRefused {
  override readonly name = 'UnknownTeam';

  constructor(team: string) {
    const allowed = `give a team's id or name, or leave it out for the team "${DEFAULT_TEAM_NAME}"`;
    super('unknown', 'team', team, allowed);
  }
}

function checkExpiry(expiresAt: number | null, clock: Clock): void {
  if (expiresAt === null || expiresAt > clock.now()) return;
  const written = new Date(expiresAt).toISOString();
  throw new ChangeRefused('invalid', 'expires_at', written, 'that is past; write a time to come, or null for never');
}

/** It may also administer the upstream account, through keys that name the group: it is the operator's own. */
async function makeDefaultTeam(teams: TeamStore, clock: Clock): Promise<void> {
  if ((await teams.findTeamByName(DEFAULT_TEAM_NAME)) !== null) return;
  const createdAt = clock.now();
  const id = newId('team', createdAt);
  const team: Team = { ...TEAM_DEFAULTS, id, name: DEFAULT_TEAM_NAME, endpoints: ['*', 'admin'], createdAt };
  try {
    await teams.insertTeam(team, { actor: SYSTEM, action: 'created' });
  } catch (error) {
    // Another replica that starts at the same moment may have made it first.
    if (!(error instanceof ChangeRefused)) throw error;
  }
}
