// How the engine works: what operators set, and times that only tests have other ideas about.
import type { AssistantsSettings } from '../config/assistants.ts';

export type EngineSettings = Pick<
  AssistantsSettings,
  'modelAliases' | 'engine' | 'runsMax' | 'runsPerTeamMax' | 'upstreamRetriesMax'
>;

/** All in milliseconds. */
export interface EngineTimes {
  /** How long a run is a worker's without word from it. */
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Between looks for runs that nobody took up. */
  readonly claimMs: number;
  /** Between looks at what runs here: heartbeats due, runs about to expire. */
  readonly tickMs: number;
  /** How long before its expiry a run stops here, so that what is open can be closed with what was said. */
  readonly expiryLeadMs: number;
  /** Before the first retry where the upstream names no time; doubled with each. */
  readonly backoffMs: number;
  /** How long something that ended waits for the end of the turn, to be written with it. */
  readonly graceMs: number;
  /** How long something that began goes untold while nobody reads along. */
  readonly untoldMs: number;
}

export const ENGINE_TIMES: EngineTimes = {
  leaseMs: 20_000,
  heartbeatMs: 5_000,
  claimMs: 2_000,
  tickMs: 100,
  expiryLeadMs: 250,
  backoffMs: 500,
  graceMs: 20,
  untoldMs: 1_000,
};

/** Upstream calls of one run; a model that never comes to an end is stopped here. */
export const TURNS_MAX = 50;
