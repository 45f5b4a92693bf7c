import type { KeyId, TeamId } from './id.ts';
import type { Team } from './team.ts';

/** A virtual key: what a client presents in place of an OpenAI key. Its token is known to the client alone. */
export interface VirtualKey {
  readonly id: KeyId;
  readonly teamId: TeamId;
  readonly name: string;
  /** SHA-256 of the token, lower-case hex. */
  readonly tokenHash: string;
  /** Prefix and last four characters: enough to recognise a token, too little to guess it. */
  readonly tokenHint: string;
  /** Groups of endpoint rows that the key may call; `*` is all of them but `admin`. */
  readonly endpoints: readonly string[];
  readonly status: 'active' | 'revoked';
  /** Milliseconds since 1970; null never expires. */
  readonly expiresAt: number | null;
  readonly createdAt: number;
}

/** The team and the key behind an arrival. */
export interface Caller {
  readonly team: Team;
  readonly key: VirtualKey;
}
