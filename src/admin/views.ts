// Teams, keys, users and budgets as JSON tells of them, and what is written of them as the tools take it.
import type { Budget } from '../domain/budget.ts';
import type { VirtualKey } from '../domain/key.ts';
import type { Limits } from '../domain/limits.ts';
import { formatUsd } from '../domain/money.ts';
import type { Team } from '../domain/team.ts';
import type { User } from '../domain/user.ts';
import type { BudgetStatus } from '../ledger/ledger.ts';
import type { Answer, Call } from './contract.ts';

export type BudgetView = Answer<'findBudget'>;

export function viewTeam(team: Team, budgets: readonly BudgetView[]): Answer<'findTeam'> {
  return {
    id: team.id,
    name: team.name,
    models: team.models,
    endpoints: team.endpoints,
    limits: viewLimits(team.limits),
    budgets,
    capture: team.capture,
    tags: team.tags,
    metadata: team.metadata,
    status: team.status,
    created_at: timeText(team.createdAt),
  };
}

export function viewKey(key: VirtualKey, budgets: readonly BudgetView[], now: number): Answer<'findKey'> {
  const isExpired = key.status === 'active' && key.expiresAt !== null && key.expiresAt <= now;
  const { formerToken } = key;
  return {
    id: key.id,
    name: key.name,
    team_id: key.teamId,
    user_id: key.userId,
    models: key.models,
    endpoints: key.endpoints,
    limits: viewLimits(key.limits),
    budgets,
    allowed_cidrs: key.allowedCidrs,
    capture: key.capture,
    on_disconnect: key.onDisconnect,
    on_unpriced: key.onUnpriced,
    on_unbounded: key.onUnbounded,
    on_overrun: key.onOverrun,
    stream_usage: key.streamUsage,
    tags: key.tags,
    metadata: key.metadata,
    status: isExpired ? 'expired' : key.status,
    token_hint: key.tokenHint,
    former_token_until: formerToken === null || formerToken.until <= now ? null : timeText(formerToken.until),
    expires_at: key.expiresAt === null ? null : timeText(key.expiresAt),
    created_at: timeText(key.createdAt),
  };
}

export function viewUser(user: User, budgets: readonly BudgetView[]): Answer<'findUser'> {
  return {
    id: user.id,
    name: user.name,
    role: user.role,
    team_id: user.teamId,
    limits: viewLimits(user.limits),
    budgets,
    metadata: user.metadata,
    status: user.status,
    token_hint: user.tokenHint,
    created_at: timeText(user.createdAt),
  };
}

export function viewBudget({ budget, spent, held, resetsAt }: BudgetStatus): BudgetView {
  const isMoney = budget.limitMoney !== null;
  return {
    id: budget.id,
    scope: budget.scope,
    key_id: budget.keyId,
    team_id: budget.teamId,
    user_id: budget.userId,
    model: budget.model,
    tag: budget.tag,
    limit_usd: budget.limitMoney === null ? null : formatUsd(budget.limitMoney),
    limit_tokens: budget.limitTokens,
    window: budget.window,
    rolling: budget.isRolling,
    time_zone: budget.timeZone,
    kind: budget.kind,
    counts_estimates: budget.countsEstimates,
    thresholds: budget.thresholds,
    increase: viewIncrease(budget),
    spent_usd: isMoney ? formatUsd(spent) : null,
    held_usd: isMoney ? formatUsd(held) : null,
    spent_tokens: isMoney ? null : Number(spent),
    held_tokens: isMoney ? null : Number(held),
    resets_at: resetsAt === null ? null : timeText(resetsAt),
    created_at: timeText(budget.createdAt),
  };
}

function viewIncrease({ increase }: Budget): BudgetView['increase'] {
  if (increase === null) return null;
  const { money, tokens, until } = increase;
  return { usd: money === null ? null : formatUsd(money), tokens, until: timeText(until) };
}

function viewLimits(limits: Limits): Answer<'findTeam'>['limits'] {
  return {
    requests_per_minute: limits.requestsPerMinute,
    tokens_per_minute: limits.tokensPerMinute,
    concurrent_exchanges: limits.concurrentExchanges,
    concurrent_streams: limits.concurrentStreams,
    concurrent_sockets: limits.concurrentSockets,
  };
}

type WrittenLimits = NonNullable<Call<'updateTeam'>['body']['limits']>;

export function readLimits(written: WrittenLimits | undefined): Partial<Limits> | undefined {
  return (
    written &&
    saidOf({
      requestsPerMinute: written.requests_per_minute,
      tokensPerMinute: written.tokens_per_minute,
      concurrentExchanges: written.concurrent_exchanges,
      concurrentStreams: written.concurrent_streams,
      concurrentSockets: written.concurrent_sockets,
    })
  );
}

/** What was said, without what was left unsaid. */
export function saidOf<T extends object>(changes: T): { [N in keyof T]?: Exclude<T[N], undefined> } {
  const said = Object.entries(changes).filter(([, value]) => value !== undefined);
  // Only undefined members were taken away.
  return Object.fromEntries(said) as { [N in keyof T]?: Exclude<T[N], undefined> };
}

export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

export function timeOf(written: string | undefined): number | undefined {
  return written === undefined ? undefined : Date.parse(written);
}
