// What each route of the contract answers.
import type { Audit } from '../audit/audit.ts';
import type { AuditRow } from '../domain/audit.ts';
import type { Backup } from '../domain/backup.ts';
import type { Clock } from '../domain/clock.ts';
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import type { ExchangeId } from '../domain/id.ts';
import type { Page, RecordFilter, Spool } from '../domain/stores.ts';
import type { Keys } from '../keys/keys.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { PricesInForce, UnpricedWatch } from '../prices/prices.ts';
import type { Reconciliation } from '../reconciliation/reconciliation.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { budgetAnswers } from './budget-answers.ts';
import { type Answer, type Call, type RouteName, litellmRoutes, routes } from './contract.ts';
import { pageAsked } from './input.ts';
import { keyAnswers } from './key-answers.ts';
import { openApiDocument } from './openapi.ts';
import { priceAnswers } from './price-answers.ts';
import { reconciliationAnswers } from './reconciliation-answers.ts';
import type { OtherAnswer } from './route.ts';
import { spendAnswers } from './spend-answers.ts';
import { teamAnswers } from './team-answers.ts';
import { userAnswers } from './user-answers.ts';
import { timeOf, timeText } from './views.ts';
import { type Visitor, missing, sees, teamNamed, teamOfList } from './visitor.ts';

export interface AnswerParts {
  readonly keys: Keys;
  readonly ledger: Ledger;
  readonly reconciliation: Reconciliation;
  readonly prices: PricesInForce;
  readonly unpriced: UnpricedWatch;
  readonly audit: Audit;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly backup: Backup;
  readonly health: () => Answer<'health'>;
  /** Whether a text is the operator's own token. Compares in constant time. */
  readonly isAdminToken: (token: string) => boolean;
}

type Answering<N extends RouteName> = Answer<N> | (N extends 'spend' ? OtherAnswer : never);

export type Answers = {
  readonly [N in RouteName]: (call: Call<N>, visitor: Visitor) => Answering<N> | Promise<Answering<N>>;
};

export function openAnswers(parts: AnswerParts): Answers {
  const { keys, audit, spool, metrics, backup, health } = parts;
  return {
    index: () => ({
      name: 'Throughway admin API',
      version: health().version,
      routes: [...Object.values(routes), ...Object.values(litellmRoutes)].map(
        ({ method, path }) => `${method} ${path}`,
      ),
    }),
    whoAmI: (_call, { actor, role, teamId }) => ({ actor: actor.id, role, team_id: teamId }),
    ...keyAnswers(parts),
    ...teamAnswers(parts),
    ...userAnswers(parts),
    ...budgetAnswers(parts),
    ...spendAnswers(parts),
    ...reconciliationAnswers(parts),
    ...priceAnswers(parts),
    async listExchanges({ query }, visitor) {
      const page = pageAsked(query);
      const filter = recordFilter(query, visitor);
      const latest_cursor = String(spool.lastSeq());
      if (query.order === 'asc') return { ...readOn(spool, page, filter), latest_cursor };
      const { data, nextCursor } = await spool.listRecords(page, filter);
      return { data, next_cursor: nextCursor, latest_cursor };
    },
    findExchange({ id }, visitor) {
      const record = spool.findRecord(id as ExchangeId);
      return record !== null && sees(visitor, record.team_id) ? record : missing('exchange', id);
    },
    async listAudit({ query }) {
      const { kind, id, actor, from, to } = query;
      const filter = { kind, id, actor, from: timeOf(from), to: timeOf(to) };
      const { data, nextCursor } = await audit.list(pageAsked(query), filter);
      return { data: data.map(viewAuditRow), next_cursor: nextCursor };
    },
    async verifyAudit() {
      const { isWhole, rows, head, faults } = await audit.verify();
      return { whole: isWhole, rows, head, faults };
    },
    async importAssistants({ query, body }, visitor) {
      const team = await teamNamed(keys, visitor, query.team);
      return backup.importLines(body, { team: team.id, isDryRun: query.dry_run === 'true' });
    },
    async exportAssistants({ query }, visitor) {
      return backup.exportLines(query.team === undefined ? null : (await teamNamed(keys, visitor, query.team)).id);
    },
    health,
    openapi: () => openApiDocument(health().version),
    metrics: () => metrics.text(),
  };
}

function viewAuditRow({ at, ...row }: AuditRow): Answer<'listAudit'>['data'][number] {
  return { ...row, at: timeText(at) };
}

function recordFilter(query: Call<'listExchanges'>['query'], visitor: Visitor): RecordFilter {
  return {
    teamId: teamOfList(visitor, query.team_id),
    keyId: query.key_id,
    userId: query.user_id,
    tag: query.tag,
    costState: query.cost_state,
    endpoint: query.endpoint,
    model: query.model,
    status: query.status,
    from: timeOf(query.from),
    to: timeOf(query.to),
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
    (filter.userId ?? record.user_id) === record.user_id &&
    (filter.tag === undefined || record.tags.includes(filter.tag)) &&
    (filter.costState ?? record.cost.state) === record.cost.state &&
    (filter.endpoint ?? record.endpoint) === record.endpoint &&
    (filter.model ?? record.model_requested) === record.model_requested &&
    (filter.status ?? record.status) === record.status &&
    (filter.from ?? atMs) <= atMs &&
    (filter.to ?? Number.POSITIVE_INFINITY) > atMs
  );
}
