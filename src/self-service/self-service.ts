// The door of what a key may ask about itself: what it spent, what is left to it, what it may call. It answers one path of the API
// listener, for the key that asks and about no other.
import { type Budget, limitAt } from '../domain/budget.ts';
import type { Clock } from '../domain/clock.ts';
import type { EmulatedCall, EmulatedReply, Emulation } from '../domain/emulation.ts';
import type { Caller } from '../domain/key.ts';
import type { Limits } from '../domain/limits.ts';
import { formatUsd } from '../domain/money.ts';
import { Refusal, refusalBody } from '../domain/refusal.ts';
import { sumsAsJson } from '../domain/rollup.ts';
import { headerValue, REFUSAL_HEADER } from '../http/headers.ts';
import type { BudgetStatus, Ledger } from '../ledger/ledger.ts';

export interface SelfServiceParts {
  readonly ledger: Pick<Ledger, 'catchUp' | 'report' | 'budgets'>;
  readonly clock: Clock;
  /** What answers all else that this gateway answers itself; null where nothing does. */
  readonly others: Emulation | null;
}

/** All below it stays here: what is not served is not relayed either. */
const OURS = /^\/v1\/throughway(\/|$)/;
const USAGE = /^\/v1\/throughway\/usage$/;
const HOUR_MS = 3_600_000;
const BUDGETS_MAX = 1000;

export function openSelfService(parts: SelfServiceParts): Emulation {
  const { others } = parts;
  return {
    claims: (path, endpoint) => (OURS.test(path) ? 'everybody' : (others?.claims(path, endpoint) ?? null)),
    answer(call) {
      if (OURS.test(call.path) || others === null) return answerOwn(parts, call);
      return others.answer(call);
    },
  };
}

async function answerOwn(
  parts: SelfServiceParts,
  { path, method, caller, limitHeaders }: EmulatedCall,
): Promise<EmulatedReply> {
  if (!USAGE.test(path))
    return refused(
      new Refusal('not_found', 'There is nothing here. A key asks about itself at /openai/throughway/usage.', {
        param: 'path',
      }),
    );
  if (method !== 'GET' && method !== 'HEAD')
    return refused(new Refusal('method_not_allowed', `${method} is not served here, but GET.`));
  const body = await usageOf(parts, caller, limitHeaders);
  return {
    status: 200,
    headers: ['content-type', 'application/json', 'cache-control', 'no-store', ...limitHeaders],
    body: JSON.stringify(body),
  };
}

function refused(refusal: Refusal): EmulatedReply {
  const headers = ['content-type', 'application/json', 'x-should-retry', 'false', REFUSAL_HEADER, refusal.code];
  return { status: refusal.status, headers, body: refusalBody(refusal) };
}

async function usageOf({ ledger, clock }: SelfServiceParts, caller: Caller, limitHeaders: readonly string[]) {
  const { key, team, user } = caller;
  await ledger.catchUp();
  const at = clock.now();
  const date = new Date(at);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const where = { team: team.id, key: key.id };
  const since = async (from: number) => {
    // Whole hours are counted, and the one that runs is one of them.
    const { totals } = await ledger.report({ groupBy: [], from, to: at + HOUR_MS, where });
    return { from: new Date(from).toISOString(), ...sumsAsJson(totals) };
  };
  const budgets = await ledger.budgets.list(
    { limit: BUDGETS_MAX, cursor: null },
    { isWanted: (each) => isOwn(each, caller) },
  );
  return {
    object: 'throughway.usage',
    at: date.toISOString(),
    key: {
      id: key.id,
      name: key.name,
      token_hint: key.tokenHint,
      created_at: new Date(key.createdAt).toISOString(),
      expires_at: key.expiresAt === null ? null : new Date(key.expiresAt).toISOString(),
    },
    team: { id: team.id, name: team.name },
    user: user === null ? null : { id: user.id, name: user.name },
    models: { key: key.models, team: team.models },
    endpoints: { key: key.endpoints, team: team.endpoints },
    spend: {
      today: await since(Date.UTC(year, month, day)),
      this_month: await since(Date.UTC(year, month)),
      total: await since(key.createdAt - (key.createdAt % HOUR_MS)),
    },
    limits: {
      key: limitsOf(key.limits),
      team: limitsOf(team.limits),
      user: user === null ? null : limitsOf(user.limits),
      left: { requests: leftOf(limitHeaders, 'requests'), tokens: leftOf(limitHeaders, 'tokens') },
    },
    budgets: budgets.data.map((status) => budgetOf(status, at)),
  };
}

/** It names this key, its team or its user, and nobody else. What the operator set for all is the operator's. */
function isOwn({ keyId, teamId, userId }: Budget, { key, team }: Caller): boolean {
  if (keyId === null && teamId === null && userId === null) return false;
  return (
    (keyId === null || keyId === key.id) &&
    (teamId === null || teamId === team.id) &&
    (userId === null || userId === key.userId)
  );
}

function budgetOf({ budget, spent, held, resetsAt }: BudgetStatus, at: number) {
  const isMoney = budget.limitMoney !== null;
  const limit = limitAt(budget, at);
  const left = limit - spent - held;
  const told = (amount: bigint) => (isMoney ? formatUsd(amount) : Number(amount));
  const unit = isMoney ? 'usd' : 'tokens';
  return {
    id: budget.id,
    scope: budget.scope,
    model: budget.model,
    tag: budget.tag,
    kind: budget.kind,
    window: budget.window,
    rolling: budget.isRolling,
    time_zone: budget.timeZone,
    [`limit_${unit}`]: told(limit),
    [`spent_${unit}`]: told(spent),
    [`held_${unit}`]: told(held),
    [`left_${unit}`]: told(left < 0n ? 0n : left),
    resets_at: resetsAt === null ? null : new Date(resetsAt).toISOString(),
  };
}

function limitsOf(limits: Limits) {
  return {
    requests_per_minute: limits.requestsPerMinute,
    tokens_per_minute: limits.tokensPerMinute,
    concurrent_exchanges: limits.concurrentExchanges,
    concurrent_streams: limits.concurrentStreams,
    concurrent_sockets: limits.concurrentSockets,
  };
}

/** Of the tightest limit of that kind, whoever counts it; null where there is none. */
function leftOf(headers: readonly string[], what: 'requests' | 'tokens') {
  const limit = headerValue(headers, `x-ratelimit-limit-${what}`);
  if (limit === null) return null;
  return {
    limit: Number(limit),
    left: Number(headerValue(headers, `x-ratelimit-remaining-${what}`)),
    resets_in: headerValue(headers, `x-ratelimit-reset-${what}`),
  };
}
