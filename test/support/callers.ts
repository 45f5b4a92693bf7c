// Callers as the rooms meet them that never look behind a key: each with the limits that a test gives it.
import type { Caller } from '../../src/domain/key.ts';
import { KEY_DEFAULTS } from '../../src/domain/key.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import { TEAM_DEFAULTS } from '../../src/domain/team.ts';

export interface CallerParts {
  readonly key?: Partial<Limits>;
  readonly team?: Partial<Limits>;
  readonly user?: Partial<Limits>;
  /** Tells callers apart. */
  readonly keyName?: string;
  readonly teamName?: string;
}

export function aCaller({ key = {}, team = {}, user, keyName = 'one', teamName = 'a' }: CallerParts): Caller {
  return {
    key: {
      ...KEY_DEFAULTS,
      id: `key_${keyName}`,
      teamId: `team_${teamName}`,
      name: keyName,
      tokenHash: '',
      tokenHint: '',
      limits: { ...UNLIMITED, ...key },
      createdAt: 0,
    },
    team: { ...TEAM_DEFAULTS, id: `team_${teamName}`, name: teamName, limits: { ...UNLIMITED, ...team }, createdAt: 0 },
    user:
      user === undefined
        ? null
        : {
            id: 'user_one',
            name: 'one',
            role: 'viewer',
            teamId: null,
            tokenHash: null,
            tokenHint: null,
            limits: { ...UNLIMITED, ...user },
            metadata: {},
            status: 'active',
            createdAt: 0,
          },
  };
}
