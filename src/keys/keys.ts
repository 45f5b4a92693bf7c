// The door to virtual keys and their teams: found by token, created, listed, revoked.
import type { Clock } from '../domain/clock.ts';
import { type KeyId, type TeamId, newId } from '../domain/id.ts';
import { type Caller, KEY_DEFAULTS, type VirtualKey } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import type { KeyStore, Listed, Page, TeamStore } from '../domain/stores.ts';
import { DEFAULT_TEAM_NAME, TEAM_DEFAULTS, type Team } from '../domain/team.ts';
import { equalHashes, hashToken, isWellFormed, newAdminToken, newToken, tokenHint } from './token.ts';

/** Callers remembered between look-ups; the oldest goes first. */
const CACHE_MAX = 10_000;

export interface NewKey {
  readonly name: string;
  /** Id or name; the default team where it is absent. */
  readonly team?: string | undefined;
  readonly endpoints?: readonly string[] | undefined;
  /** Milliseconds since 1970. */
  readonly expiresAt?: number | null | undefined;
}

export interface Keys {
  /** Who stands behind a token; null for one that opens nothing. Answers at once for a caller it remembers. */
  findCaller(token: string): Caller | null | Promise<Caller | null>;
  /** The token is given this once and kept nowhere. @throws UnknownTeam */
  create(key: NewKey): Promise<{ readonly key: VirtualKey; readonly token: string }>;
  find(id: KeyId): Promise<VirtualKey | null>;
  /** From the moment this resolves the key opens nothing. Null for an unknown id. */
  revoke(id: KeyId): Promise<VirtualKey | null>;
  list(page: Page, filter: { teamId?: TeamId | undefined }): Promise<Listed<VirtualKey>>;
  count(): Promise<number>;
  findTeam(idOrName: string): Promise<Team | null>;
  listTeams(page: Page): Promise<Listed<Team>>;
}

interface Remembered {
  readonly caller: Caller;
  /** Monotonic, milliseconds. */
  readonly untilMs: number;
}

export class UnknownTeam extends Error {
  override readonly name = 'UnknownTeam';

  constructor(team: string) {
    super(`there is no team "${team}"; give a team's id or name, or leave it out for the team "${DEFAULT_TEAM_NAME}"`);
  }
}

export { newAdminToken, equalHashes, hashToken };

/**
 * @param rememberMs how long a caller is believed without asking the store again: the longest that a revocation by another
 *   process goes unseen. Null where this process is the only one.
 */
export async function openKeys(
  store: KeyStore,
  teams: TeamStore,
  clock: Clock,
  rememberMs: number | null,
): Promise<Keys> {
  const defaultTeam = await findOrMakeDefaultTeam(teams, clock);
  /** By token hash. A Map remembers the order of insertion: its first is the oldest. */
  const callers = new Map<string, Remembered>();

  function findCaller(token: string): Caller | null | Promise<Caller | null> {
    if (!isWellFormed(token)) return null;
    const tokenHash = hashToken(token);
    const remembered = callers.get(tokenHash);
    if (remembered === undefined || clock.elapsedMs() >= remembered.untilMs) return readCaller(tokenHash);
    return opens(remembered.caller.key, tokenHash) ? remembered.caller : null;
  }

  async function readCaller(tokenHash: string): Promise<Caller | null> {
    const untilMs = rememberMs === null ? Number.POSITIVE_INFINITY : clock.elapsedMs() + rememberMs;
    const found = await askStore(tokenHash);
    // It may have been revoked while it was read.
    if (found === null || !opens(found.key, tokenHash) || revoked.has(found.key.id)) {
      callers.delete(tokenHash);
      return null;
    }
    if (callers.size >= CACHE_MAX) callers.delete(callers.keys().next().value!);
    callers.set(tokenHash, { caller: found, untilMs });
    return found;
  }

  /** @throws Refusal where the store cannot be asked: nobody is let in unseen, and nobody is told that a good key is bad. */
  async function askStore(tokenHash: string): Promise<Caller | null> {
    try {
      const key = await store.findKeyByTokenHash(tokenHash);
      const team = key && (await teams.findTeam(key.teamId));
      return key && team && { key, team, user: null };
    } catch (cause) {
      const message = 'The gateway cannot look up virtual keys now; its store does not answer.';
      throw new Refusal('overloaded', message, { retryAfterMs: 1000, cause });
    }
  }

  /** Ids revoked by this process: a look-up that was under way when that happened must not bring one back. */
  const revoked = new Set<KeyId>();

  function opens(key: VirtualKey, tokenHash: string): boolean {
    return (
      equalHashes(key.tokenHash, tokenHash) &&
      key.status === 'active' &&
      (key.expiresAt === null || clock.now() < key.expiresAt)
    );
  }

  async function findTeam(idOrName: string): Promise<Team | null> {
    // Both are strings; a name may look like an id, so both are asked.
    return (await teams.findTeam(idOrName as TeamId)) ?? (await teams.findTeamByName(idOrName));
  }

  return {
    findCaller,
    async create({ name, team: wanted, endpoints, expiresAt }) {
      const team = wanted === undefined ? defaultTeam : await findTeam(wanted);
      if (team === null) throw new UnknownTeam(wanted ?? '');
      const token = newToken();
      const createdAt = clock.now();
      const key: VirtualKey = {
        ...KEY_DEFAULTS,
        id: newId('key', createdAt),
        teamId: team.id,
        name,
        tokenHash: hashToken(token),
        tokenHint: tokenHint(token),
        endpoints: endpoints ?? ['*'],
        status: 'active',
        expiresAt: expiresAt ?? null,
        createdAt,
      };
      await store.insertKey(key);
      return { key, token };
    },
    find: (id) => store.findKey(id),
    async revoke(id) {
      const key = await store.revokeKey(id);
      if (key !== null) {
        revoked.add(id);
        callers.delete(key.tokenHash);
      }
      return key;
    },
    list: (page, filter) => store.listKeys(page, filter),
    count: () => store.countKeys(),
    findTeam,
    listTeams: (page) => teams.listTeams(page),
  };
}

async function findOrMakeDefaultTeam(teams: TeamStore, clock: Clock): Promise<Team> {
  const found = await teams.findTeamByName(DEFAULT_TEAM_NAME);
  if (found !== null) return found;
  const createdAt = clock.now();
  const team: Team = { ...TEAM_DEFAULTS, id: newId('team', createdAt), name: DEFAULT_TEAM_NAME, createdAt };
  try {
    await teams.insertTeam(team);
    return team;
  } catch (error) {
    // Another replica that starts at the same moment made it first.
    const made = await teams.findTeamByName(DEFAULT_TEAM_NAME);
    if (made === null) throw error;
    return made;
  }
}
