import type { TeamId } from './id.ts';
import { type Limits, UNLIMITED } from './limits.ts';

/** Who pays and who owns. Every virtual key belongs to exactly one team. */
export interface Team {
  readonly id: TeamId;
  /** Unique among teams that were not deleted. */
  readonly name: string;
  /** Patterns of models that its keys may call, such as `gpt-*`; `*` is all. */
  readonly models: readonly string[];
  /** Groups or rows of endpoints that its keys may call; `*` is all of them but `admin`. */
  readonly endpoints: readonly string[];
  readonly limits: Limits;
  /** What is kept of requests and replies: their records, and no bodies. */
  readonly capture: 'metadata';
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  /** A suspended team's keys open nothing until it is resumed; a deleted one is kept for its history only. */
  readonly status: 'active' | 'suspended' | 'deleted';
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** What a team may where nobody says otherwise. */
export const TEAM_DEFAULTS = {
  models: ['*'],
  endpoints: ['*'],
  limits: UNLIMITED,
  capture: 'metadata',
  tags: [],
  metadata: {},
  status: 'active',
} as const satisfies Partial<Team>;

export const DEFAULT_TEAM_NAME = 'default';
