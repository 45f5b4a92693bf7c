// What keys, teams and users are called, beside their ids in reports; also those that were deleted.
import type { KeyId, TeamId, UserId } from '../domain/id.ts';
import type { VirtualKey } from '../domain/key.ts';
import type { Team } from '../domain/team.ts';
import type { User } from '../domain/user.ts';
import type { Keys } from '../keys/keys.ts';

/** Each is looked up once. Null for what nobody knows. */
export interface Names {
  key(id: string): Promise<VirtualKey | null>;
  team(id: string): Promise<Team | null>;
  user(id: string): Promise<User | null>;
}

export function openNames(keys: Keys): Names {
  // Ids in the ledger were branded when they were written.
  return {
    key: once((id) => keys.find(id as KeyId)),
    team: once((id) => keys.teams.find(id as TeamId)),
    user: once((id) => keys.users.find(id as UserId)),
  };
}

function once<T>(find: (id: string) => Promise<T>): (id: string) => Promise<T> {
  const found = new Map<string, Promise<T>>();
  return (id) => {
    let one = found.get(id);
    if (one === undefined) found.set(id, (one = find(id)));
    return one;
  };
}
