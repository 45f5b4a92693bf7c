// Who stands behind a token: remembered, so that an exchange asks no database, and forgotten the moment something changes. What
// stopped opening is told, so that the exchanges which it opened end with it.
import type { Clock } from '../domain/clock.ts';
import type { KeyId } from '../domain/id.ts';
import type { Caller, VirtualKey } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import type { AuditStore, KeyStore, TeamStore, UserStore } from '../domain/stores.ts';
import type { Team } from '../domain/team.ts';
import type { User } from '../domain/user.ts';
import { equalHashes, formOf, hashToken } from './token.ts';

/** Callers remembered; the oldest goes first, and of its ending nobody is told then. */
const CALLERS_MAX = 50_000;
/** Given tokens known to open nothing. */
const UNKNOWN_MAX = 10_000;
/** How long that is believed: another process may make a key of it meanwhile. */
const UNKNOWN_MS = 1000;
/** Look-ups of given tokens under way. Tokens made here are told from invented ones without a look-up. */
const GIVEN_LOOKUPS_MAX = 32;
/** Between looks at what ran out by itself. */
const SWEEP_MS = 500;
/** In place of a time until which a caller is believed. */
const DOUBTED = Number.NEGATIVE_INFINITY;
/** Rows of the audit read at once when following what other replicas change. */
const FOLLOW_MAX = 1000;

/** A key, or one of its two tokens, that opened exchanges here and opens no more. */
export interface Closed {
  readonly keyId: KeyId;
  /** Whether it was this that let the caller in: after a rotation only the former token's exchanges end. */
  covers(caller: Caller): boolean;
}

/** A team, key or user that was changed. */
interface Changed {
  readonly id: string;
}

export interface Callers {
  find(token: string): Caller | null | Promise<Caller | null>;
  /** The caller of a key, without any token: for what the gateway does in a key's name. */
  ofKey(id: KeyId): Promise<Caller | null>;
  onClosed(listener: (closed: Closed) => void): () => void;
  /** Nothing remembered of these is believed from now on; resolves once everything that closed was told. */
  forget(changed: readonly Changed[]): Promise<void>;
  close(): void;
}

export interface CallerStores {
  readonly keys: KeyStore;
  readonly teams: TeamStore;
  readonly users: UserStore;
  readonly audit: AuditStore;
}

/** What opens: the hash of a token, or the key's own id where the gateway acts in its name. */
type Opener = string;

interface Remembered {
  readonly opener: Opener;
  caller: Caller;
  /** Monotonic, milliseconds. */
  untilMs: number;
}

/**
 * @param rememberMs how long a caller is believed without asking the store again, and between looks at what other replicas
 *   changed. Null where this process is the only one.
 */
export async function openCallers(stores: CallerStores, clock: Clock, rememberMs: number | null): Promise<Callers> {
  /** A Map remembers the order of insertion: its first is the oldest. */
  const callers = new Map<Opener, Remembered>();
  const openerOf = new WeakMap<Caller, Opener>();
  const unknown = new Map<string, number>();
  const listeners = new Set<(closed: Closed) => void>();
  let givenLookups = 0;
  /** Ids of what was changed, but could not be read since: asked for again until it can. */
  const unread = new Set<string>();
  /** Counts changes: what was read while one was made is read again. */
  let changes = 0;

  function find(token: string): Caller | null | Promise<Caller | null> {
    const form = formOf(token);
    if (form === null) return null;
    const tokenHash = hashToken(token);
    const remembered = callers.get(tokenHash);
    if (remembered !== undefined && clock.elapsedMs() < remembered.untilMs) {
      if (opens(remembered.caller, tokenHash, clock.now())) return remembered.caller;
      end(remembered);
      return null;
    }
    return form === 'own' || remembered !== undefined ? look(tokenHash) : lookAtGiven(tokenHash);
  }

  /** Invented tokens of no known form must not each cost a look-up. */
  function lookAtGiven(tokenHash: string): null | Promise<Caller | null> {
    const until = unknown.get(tokenHash);
    if (until !== undefined && clock.elapsedMs() < until) return null;
    if (givenLookups >= GIVEN_LOOKUPS_MAX) {
      throw new Refusal('overloaded', 'Too many unknown API keys are being looked up now.', { retryAfterMs: 1000 });
    }
    givenLookups++;
    const before = changes;
    return look(tokenHash)
      .then((caller) => {
        if (caller === null && before === changes) {
          if (unknown.size >= UNKNOWN_MAX) unknown.delete(unknown.keys().next().value!);
          unknown.set(tokenHash, clock.elapsedMs() + UNKNOWN_MS);
        }
        return caller;
      })
      .finally(() => givenLookups--);
  }

  async function look(opener: Opener): Promise<Caller | null> {
    for (;;) {
      const before = changes;
      const untilMs = rememberMs === null ? Number.POSITIVE_INFINITY : clock.elapsedMs() + rememberMs;
      const caller = await askStore(opener);
      // It may have been revoked while it was read.
      if (before === changes) return remember(opener, caller, untilMs);
    }
  }

  function remember(opener: Opener, caller: Caller | null, untilMs: number): Caller | null {
    const remembered = callers.get(opener);
    if (caller === null || !opens(caller, opener, clock.now())) {
      if (remembered !== undefined) end(remembered);
      return null;
    }
    openerOf.set(caller, opener);
    if (remembered !== undefined) {
      remembered.caller = caller;
      remembered.untilMs = untilMs;
      return caller;
    }
    if (callers.size >= CALLERS_MAX) callers.delete(callers.keys().next().value!);
    callers.set(opener, { opener, caller, untilMs });
    return caller;
  }

  /** @throws Refusal where the store cannot be asked: nobody is let in unseen, and nobody is told that a good key is bad. */
  async function askStore(opener: Opener): Promise<Caller | null> {
    try {
      const { keys } = stores;
      const key = await (isKeyId(opener) ? keys.findKey(opener) : keys.findKeyByTokenHash(opener));
      if (key === null) return null;
      const team = await stores.teams.findTeam(key.teamId);
      const user = key.userId === null ? null : await stores.users.findUser(key.userId);
      return team && { team, key, user };
    } catch (cause) {
      const message = 'The gateway cannot look up virtual keys now; its store does not answer.';
      throw new Refusal('overloaded', message, { retryAfterMs: 1000, cause });
    }
  }

  /** It opens nothing more: whoever it let in is told of, once. */
  function end(remembered: Remembered): void {
    const { opener, caller } = remembered;
    if (callers.get(opener) !== remembered) return;
    callers.delete(opener);
    const closed: Closed = { keyId: caller.key.id, covers: (other) => openerOf.get(other) === opener };
    for (const listener of listeners) listener(closed);
  }

  async function forget(changed: readonly Changed[]): Promise<void> {
    changes++;
    unknown.clear();
    const ids = new Set(changed.map(({ id }) => id));
    const touched = [...callers.values()].filter(({ caller }) => isTouched(caller, ids));
    for (const remembered of touched) remembered.untilMs = DOUBTED;
    // Teams and users are read once, however many keys they have.
    const teams = new Map<string, Team | null>();
    const users = new Map<string, User | null>();
    const readOnce = async <T>(read: Map<string, T>, id: string, ask: () => Promise<T>): Promise<T> => {
      if (!read.has(id)) read.set(id, await ask());
      return read.get(id)!;
    };
    for (const remembered of touched) {
      const { team, key, user } = remembered.caller;
      const fresh: { key: VirtualKey | null; team: Team | null; user: User | null } = { key, team, user };
      try {
        if (ids.has(key.id)) fresh.key = await stores.keys.findKey(key.id);
        if (ids.has(team.id)) fresh.team = await readOnce(teams, team.id, () => stores.teams.findTeam(team.id));
        // The key may name another user since.
        const userId = fresh.key?.userId ?? null;
        if (userId === null) fresh.user = null;
        else if (ids.has(userId) || userId !== user?.id) {
          fresh.user = await readOnce(users, userId, () => stores.users.findUser(userId));
        }
      } catch {
        // Whoever comes with it meanwhile is looked up again, and let in by the store alone.
        for (const id of ids) unread.add(id);
        continue;
      }
      const caller = fresh.key && fresh.team && { key: fresh.key, team: fresh.team, user: fresh.user };
      if (caller === null || !opens(caller, remembered.opener, clock.now())) end(remembered);
      else if (remembered.untilMs === DOUBTED) {
        // For the sweep; whoever asks is answered by a look-up.
        openerOf.set(caller, remembered.opener);
        remembered.caller = caller;
      }
    }
  }

  /** What ran out by itself, without anybody asking. */
  function sweep(): void {
    const now = clock.now();
    for (const remembered of callers.values()) if (hasRunOut(remembered, now)) end(remembered);
    if (unread.size === 0) return;
    const again = [...unread].map((id) => ({ id }));
    unread.clear();
    void forget(again);
  }

  const sweeping = setInterval(sweep, SWEEP_MS);
  sweeping.unref();
  const following = rememberMs === null ? null : await follow(stores.audit, rememberMs, forget);
  return {
    find,
    ofKey: async (id) => {
      const remembered = callers.get(id);
      if (remembered === undefined || clock.elapsedMs() >= remembered.untilMs) return look(id);
      return opens(remembered.caller, id, clock.now()) ? remembered.caller : null;
    },
    onClosed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    forget,
    close() {
      clearInterval(sweeping);
      following?.close();
    },
  };
}

/** Whether this opens exchanges now. Called for every exchange. */
function opens({ key, team, user }: Caller, opener: Opener, now: number): boolean {
  return (
    key.status === 'active' &&
    team.status === 'active' &&
    (user === null || user.status === 'active') &&
    (key.expiresAt === null || now < key.expiresAt) &&
    isOpener(key, opener, now)
  );
}

function isOpener(key: VirtualKey, opener: Opener, now: number): boolean {
  if (opener === key.id || equalHashes(key.tokenHash, opener)) return true;
  const { formerToken } = key;
  return formerToken !== null && now < formerToken.until && equalHashes(formerToken.hash, opener);
}

/** By time alone, for all that is remembered in one go: every other ending is told by whoever made it. */
function hasRunOut({ caller: { key }, opener }: Remembered, now: number): boolean {
  const { expiresAt, formerToken } = key;
  return (expiresAt !== null && now >= expiresAt) || (formerToken?.hash === opener && now >= formerToken.until);
}

/** A digest is hexadecimal and never looks like an id. */
function isKeyId(opener: Opener): opener is KeyId {
  return opener.startsWith('key_');
}

function isTouched({ key, team, user }: Caller, ids: ReadonlySet<string>): boolean {
  return ids.has(key.id) || ids.has(team.id) || (user !== null && ids.has(user.id));
}

/** Every change leaves a row in the audit, in the order in which they were made: what other replicas changed is read there. */
async function follow(audit: AuditStore, everyMs: number, changed: (rows: readonly Changed[]) => Promise<void>) {
  let { seq } = await audit.head();
  let isReading = false;
  const read = async () => {
    if (isReading) return;
    isReading = true;
    try {
      for (;;) {
        const rows = await audit.readAfter(seq, FOLLOW_MAX);
        if (rows.length === 0) return;
        await changed(rows);
        seq = rows.at(-1)!.seq;
        if (rows.length < FOLLOW_MAX) return;
      }
    } catch {
      // A store that is away is asked again; meanwhile nobody is believed for longer than the time between two looks.
    } finally {
      isReading = false;
    }
  };
  const timer = setInterval(() => void read(), everyMs);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
