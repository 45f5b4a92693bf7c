// What each route of the contract answers.
import { adviseName } from '../config/issues.ts';
import type { Actor } from '../domain/audit.ts';
import type { Backup } from '../domain/backup.ts';
import { ChangeRefused } from '../domain/change-refused.ts';
import type { Clock } from '../domain/clock.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { ExchangeId, KeyId } from '../domain/id.ts';
import type { VirtualKey } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Page, RecordFilter, Spool } from '../domain/stores.ts';
import { DEFAULT_TEAM_NAME, type Team } from '../domain/team.ts';
import { type Keys, UnknownTeam } from '../keys/keys.ts';
import { ENDPOINTS } from '../openai/endpoint-rows.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type Answer, type Call, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, type RouteName, routes } from './contract.ts';
import { openApiDocument } from './openapi.ts';

/** Whoever holds the operator's own token. */
const OWNER: Actor = { id: 'owner', address: null };

export interface AnswerParts {
  readonly keys: Keys;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly backup: Backup;
  readonly health: () => Answer<'health'>;
}

export type Answers = { readonly [N in RouteName]: (call: Call<N>) => Answer<N> | Promise<Answer<N>> };

export function openAnswers({ keys, spool, clock, metrics, backup, health }: AnswerParts): Answers {
  const keyView = (key: VirtualKey) => viewKey(key, clock.now());
  const teamOf = async (idOrName: string) => (await keys.teams.find(idOrName)) ?? missing('team', idOrName, 'team');
  return {
    index: () => ({
      name: 'Throughway admin API',
      version: health().version,
      routes: Object.values(routes).map(({ method, path }) => `${method} ${path}`),
    }),
    async createKey({ body: { name, team, endpoints, expires_at } }) {
      if (endpoints !== undefined) checkGroups(endpoints);
      const expiresAt = expires_at ? Date.parse(expires_at) : null;
      if (expiresAt !== null && expiresAt <= clock.now()) {
        throw new Refusal('bad_request', `expires_at is ${expires_at}, which is past; write a time to come.`, {
          param: 'expires_at',
        });
      }
      try {
        const { key, token } = await keys.create({ name, team, endpoints, expiresAt }, OWNER);
        return { key: keyView(key), token };
      } catch (error) {
        if (error instanceof UnknownTeam)
          throw new Refusal('not_found', `${error.message}.`, { param: 'team', cause: error });
        if (error instanceof ChangeRefused)
          throw new Refusal('bad_request', `${error.message}.`, { param: error.field, cause: error });
        throw error;
      }
    },
    async listKeys({ query }) {
      // Ids were branded when they were written; one that nobody wrote finds nothing.
      const { data, nextCursor } = await keys.list(pageOf(query), { teamId: query.team_id as Team['id'] | undefined });
      return { data: data.map(keyView), next_cursor: nextCursor };
    },
    findKey: async ({ id }) => keyView((await keys.find(id as KeyId)) ?? missing('key', id)),
    revokeKey: async ({ id }) => keyView((await keys.revoke(id as KeyId, OWNER)) ?? missing('key', id)),
    async listTeams({ query }) {
      const { data, nextCursor } = await keys.teams.list(pageOf(query), {});
      return { data: data.map(viewTeam), next_cursor: nextCursor };
    },
    findTeam: async ({ id }) => viewTeam((await keys.teams.find(id)) ?? missing('team', id)),
    async listExchanges({ query }) {
      const page = pageOf(query);
      const filter = recordFilter(query);
      const latest_cursor = String(spool.lastSeq());
      if (query.order === 'asc') return { ...readOn(spool, page, filter), latest_cursor };
      const { data, nextCursor } = await spool.listRecords(page, filter);
      return { data, next_cursor: nextCursor, latest_cursor };
    },
    findExchange: ({ id }) => spool.findRecord(id as ExchangeId) ?? missing('exchange', id),
    async importAssistants({ query, body }) {
      const team = await teamOf(query.team ?? DEFAULT_TEAM_NAME);
      return backup.importLines(body, { team: team.id, isDryRun: query.dry_run === 'true' });
    },
    async exportAssistants({ query }) {
      return backup.exportLines(query.team === undefined ? null : (await teamOf(query.team)).id);
    },
    health,
    openapi: () => openApiDocument(health().version),
    metrics: () => metrics.text(),
  };
}

/** @throws Refusal */
function missing(what: 'key' | 'team' | 'exchange', id: string, param = 'id'): never {
  throw new Refusal('not_found', `There is no ${what} "${id.slice(0, 100)}".`, { param });
}

const GROUPS: readonly string[] = ['*', ...new Set(ENDPOINTS.map((endpoint) => endpoint.group))].toSorted();

/** @throws Refusal for a group that no endpoint belongs to */
function checkGroups(named: readonly string[]): void {
  const unknown = named.find((group) => !GROUPS.includes(group));
  if (unknown === undefined) return;
  throw new Refusal(
    'bad_request',
    `endpoints names "${unknown.slice(0, 100)}", which is no group of endpoints; ${adviseName(unknown, GROUPS)}`,
    {
      param: 'endpoints',
    },
  );
}

function pageOf({
  limit = LIST_LIMIT_DEFAULT,
  cursor = null,
}: {
  limit?: number | undefined;
  cursor?: string | null | undefined;
}): Page {
  return { limit: Math.min(Math.max(limit, 1), LIST_LIMIT_MAX), cursor };
}

function viewKey(key: VirtualKey, now: number): Answer<'findKey'> {
  const isExpired = key.expiresAt !== null && key.expiresAt <= now;
  return {
    id: key.id,
    name: key.name,
    team_id: key.teamId,
    endpoints: key.endpoints,
    status: key.status !== 'active' ? 'revoked' : isExpired ? 'expired' : 'active',
    token_hint: key.tokenHint,
    expires_at: key.expiresAt === null ? null : new Date(key.expiresAt).toISOString(),
    created_at: new Date(key.createdAt).toISOString(),
  };
}

function viewTeam(team: Team): Answer<'findTeam'> {
  return { id: team.id, name: team.name, created_at: new Date(team.createdAt).toISOString() };
}

function recordFilter(query: Call<'listExchanges'>['query']): RecordFilter {
  return {
    teamId: query.team_id,
    keyId: query.key_id,
    endpoint: query.endpoint,
    model: query.model,
    status: query.status,
    from: query.from === undefined ? undefined : Date.parse(query.from),
    to: query.to === undefined ? undefined : Date.parse(query.to),
  };
}

/** As many records as the page takes are looked at; those that the filter keeps are given. */
function readOn(spool: Spool, { limit, cursor }: Page, filter: RecordFilter) {
  const rows = spool.readAfter(Number(cursor ?? 0), limit);
  const data = rows.map((row) => JSON.parse(row.record) as ExchangeRecord).filter((record) => keeps(filter, record));
  return { data, next_cursor: String(rows.at(-1)?.seq ?? cursor ?? 0) };
}

function keeps(filter: RecordFilter, record: ExchangeRecord): boolean {
  const atMs = Date.parse(record.at);
  return (
    (filter.teamId ?? record.team_id) === record.team_id &&
    (filter.keyId ?? record.key_id) === record.key_id &&
    (filter.endpoint ?? record.endpoint) === record.endpoint &&
    (filter.model ?? record.model_requested) === record.model_requested &&
    (filter.status ?? record.status) === record.status &&
    (filter.from ?? atMs) <= atMs &&
    (filter.to ?? Number.POSITIVE_INFINITY) > atMs
  );
}
