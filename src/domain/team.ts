import type { TeamId } from './id.ts';

/** Who pays and who owns. Every virtual key belongs to exactly one team. */
export interface Team {
  readonly id: TeamId;
  /** Unique among teams. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

export const DEFAULT_TEAM_NAME = 'default';
