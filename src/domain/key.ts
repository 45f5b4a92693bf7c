import type { KeyId, TeamId, UserId } from './id.ts';
import { type Limits, UNLIMITED } from './limits.ts';
import type { Team } from './team.ts';
import type { User } from './user.ts';

/** A virtual key: what a client presents in place of an OpenAI key. Its token is known to the client alone. */
export interface VirtualKey {
  readonly id: KeyId;
  readonly teamId: TeamId;
  /** The person it was given to; null for a key of nobody in particular. */
  readonly userId: UserId | null;
  readonly name: string;
  /** SHA-256 of the token, lower-case hex; empty once the key was deleted. */
  readonly tokenHash: string;
  /** Prefix and last four characters: enough to recognise a token, too little to guess it. */
  readonly tokenHint: string;
  /** The token before the last rotation, and until when it opens too (milliseconds since 1970). */
  readonly formerToken: { readonly hash: string; readonly until: number } | null;
  /** Patterns of models, such as `gpt-*`; `*` is all that the team allows. A key only narrows its team. */
  readonly models: readonly string[];
  /** Groups or rows of endpoints that the key may call; `*` is all that the team allows, never `admin`. */
  readonly endpoints: readonly string[];
  /** Networks that it may be used from, such as `10.0.0.0/8`; empty is anywhere. */
  readonly allowedCidrs: readonly string[];
  readonly limits: Limits;
  /** What happens upstream when the client leaves: the gateway's setting where null. */
  readonly onDisconnect: 'abort' | 'drain' | null;
  /** Whether it may call what has no price. */
  readonly onUnpriced: 'allow' | 'deny';
  /** What is set aside for a reply whose length nobody bounds: the model's maximum, a learnt share of it, or nothing: it is refused. */
  readonly onUnbounded: 'assume_max' | 'learned' | 'refuse';
  /** An exchange that costs more than was set aside for it: it may finish, or it is cut. */
  readonly onOverrun: 'finish' | 'cut';
  /** Whether usage is asked for in streams that do not ask for it, or estimated. */
  readonly streamUsage: 'inject' | 'estimate';
  /** What is kept of requests and replies: their records, and no bodies. */
  readonly capture: 'metadata';
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  /** A deleted key is kept for its history only. */
  readonly status: 'active' | 'suspended' | 'revoked' | 'deleted';
  /** Milliseconds since 1970; null never expires. */
  readonly expiresAt: number | null;
  readonly createdAt: number;
}

/** What an audit row digests of a key: all but what its tokens could be found by. */
export function auditedKey(key: VirtualKey): unknown {
  return { ...key, tokenHash: undefined, formerToken: key.formerToken && { until: key.formerToken.until } };
}

/** What a key may where nobody says otherwise: all that its team may. */
export const KEY_DEFAULTS = {
  userId: null,
  formerToken: null,
  models: ['*'],
  endpoints: ['*'],
  allowedCidrs: [],
  limits: UNLIMITED,
  onDisconnect: null,
  onUnpriced: 'allow',
  onUnbounded: 'assume_max',
  onOverrun: 'finish',
  streamUsage: 'inject',
  capture: 'metadata',
  tags: [],
  metadata: {},
  status: 'active',
  expiresAt: null,
} as const satisfies Partial<VirtualKey>;

/** The team and the key behind an arrival, and the person whom the key names. */
export interface Caller {
  readonly team: Team;
  readonly key: VirtualKey;
  readonly user: User | null;
}
