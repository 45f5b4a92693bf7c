// The door to records after they are written: lines for whoever asked, a last word for exchanges whose process died, retention.
import type { ResolvedSettings } from '../config/config.ts';
import type { Clock } from '../domain/clock.ts';
import { ABSENT_USAGE, type ExchangeRecord, type Intent, unpriced } from '../domain/exchange-record.ts';
import type { Spool } from '../domain/stores.ts';
import type { Log } from '../telemetry/log.ts';
import { type Lines, startLines } from './lines.ts';

const DAY_MS = 86_400_000;
const PURGE_EVERY_MS = 1000;
/** Few enough that the event loop hardly notices; ten times what a busy day adds in the same time. */
const PURGE_ROWS = 200;

export interface Logging {
  close(): Promise<void>;
}

export async function startLogging(
  spool: Spool,
  settings: ResolvedSettings['logging'],
  clock: Clock,
  log: Log,
): Promise<Logging> {
  await closeOrphans(spool, log);
  const lines: Lines[] = [];
  if (settings.stdout) lines.push(startLines(spool, null, log));
  if (settings.file !== undefined) lines.push(startLines(spool, settings.file, log));
  const purge = settings.retentionDays === 0 ? null : startPurge(spool, settings.retentionDays, clock, log);
  return {
    async close() {
      if (purge !== null) clearInterval(purge);
      await Promise.all(lines.map((line) => line.close()));
    },
  };
}

/** What a dead process began and never finished gets the record that it could not write. */
async function closeOrphans(spool: Spool, log: Log): Promise<void> {
  const orphans = spool.orphanedIntents();
  if (orphans.length === 0) return;
  await Promise.all(
    orphans.map(
      (intent) =>
        new Promise<void>((resolve, reject) => {
          spool.writeRecord(orphanRecord(intent), (error) => (error ? reject(error) : resolve()));
        }),
    ),
  );
  log.warn('exchanges cut short by the end of the last process were recorded', { exchanges: orphans.length });
}

function orphanRecord(intent: Intent): ExchangeRecord {
  return {
    v: 1,
    id: intent.id,
    kind: 'exchange',
    parent_id: null,
    at: new Date(intent.at).toISOString(),
    method: intent.method,
    path: intent.path,
    endpoint: intent.endpoint,
    team_id: intent.teamId,
    key_id: intent.keyId,
    user_id: intent.userId,
    end_user: intent.endUser,
    model_requested: intent.model,
    model_served: null,
    transport: null,
    status: null,
    ending: 'gateway_cut',
    refusal: null,
    timings_us: { admitted: null, connected: null, first_byte: null, total: 0 },
    bytes: { in: 0, out: 0 },
    usage: ABSENT_USAGE,
    cost: unpriced('process_died'),
    attempts: [],
    objects: [],
    error: { origin: 'gateway', code: 'process_died', message: 'The gateway process ended before this exchange did.' },
    tags: intent.tags,
    upstream_request_id: null,
    client_request_id: null,
  };
}

function startPurge(spool: Spool, retentionDays: number, clock: Clock, log: Log): NodeJS.Timeout {
  const timer = setInterval(() => {
    try {
      spool.purgeBefore(clock.now() - retentionDays * DAY_MS, PURGE_ROWS);
    } catch (error) {
      log.warn('old records not removed, will try again', {
        why: error instanceof Error ? error.message : String(error),
      });
    }
  }, PURGE_EVERY_MS);
  timer.unref();
  return timer;
}
