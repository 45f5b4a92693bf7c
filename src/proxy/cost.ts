// What an exchange cost: from its row, how it ended, and what was used. Unknown is not nothing.
import type { Endpoint, EndpointGroup } from '../domain/endpoint.ts';
import type { Admission, Observation } from '../domain/exchange.ts';
import type { ReplyFacts, RequestFacts } from '../domain/facts.ts';
import type { Cost, CostBasis, Prices } from '../domain/price.ts';
import type { Usage } from '../domain/usage.ts';
import { together } from '../openai/cost-sum.ts';
import { workStartedBy } from '../openai/objects.ts';
import { markUnreportedTier } from '../openai/served-tier.ts';
import { readImageTool } from '../openai/usage.ts';

/** OpenAI charges nothing for it. */
export const NO_COST: Cost = {
  state: 'free',
  amount: 0n,
  lines: [],
  priceVersion: null,
  confidence: null,
  why: null,
};

/** Of a response that nobody heard to its end. */
export const UNFINISHED: Cost = unknown('unpriced', 'response_unfinished');

export interface PricedAt {
  readonly prices: Prices;
  /** Of the upstream. */
  readonly host: string;
}

export function costOf(admission: Admission, observation: Observation, usage: Usage, pricedAt: PricedAt): Cost {
  const { endpoint, method } = admission.arrival;
  if (endpoint?.billing === 'free' || endpoint?.billing === 'repeated' || wasInVain(admission, observation, usage))
    return NO_COST;
  // These only look, whatever is there.
  if (method === 'HEAD' || method === 'OPTIONS') return NO_COST;
  if (endpoint === undefined) return unknown('unpriced', 'unknown_endpoint');
  if (endpoint.billing === 'unpriced') return unknown('unpriced', 'no_published_price');
  // Each turn of a socket is priced on its own; what the whole of it reports, such as seconds, is priced here.
  if (endpoint.transport === 'websocket' && usage.readings === null) return socketCost(endpoint, observation);
  const isLater = endpoint.billing === 'deferred' || isInBackground(admission.facts, observation.facts);
  if (isLater && STORING_GROUPS.has(endpoint.group)) return storageCost(endpoint, observation);
  if (isLater && usage.readings === null) return laterCost(endpoint, observation.facts);
  const cost = priceOf(admission, usage, observation.facts, pricedAt);
  const drawn = observation.facts === null ? null : readImageTool(observation.facts);
  if (drawn === null) return cost;
  const facts = { model: drawn.model, serviceTier: observation.facts?.serviceTier ?? null };
  return together(cost, priceOf({ ...admission, model: null }, drawn.usage, facts, pricedAt));
}

/** What was used of a model, at the prices of the moment when the upstream was called. */
export function priceOf(
  { arrival, caller, model, facts: asked }: Admission,
  usage: Usage,
  facts: Pick<ReplyFacts, 'model' | 'serviceTier'> | null,
  { prices, host }: PricedAt,
): Cost {
  const { readings, source, problems } = usage;
  if (readings === null) return unknown('unpriced', 'no_usage');
  const served = facts?.serviceTier ?? null;
  const query: CostBasis = {
    model: facts?.model ?? model,
    at: arrival.receivedAt,
    serviceTier: served,
    mode: 'standard',
    host,
    teamId: caller.team.id,
    keyId: caller.key.id,
    readings,
    isEstimated: source === 'estimated',
  };
  const priced = { ...prices.price(query), basis: [query] };
  const cost = markUnreportedTier(priced, asked?.serviceTier ?? null, served);
  if (cost.amount === null) return cost;
  if (problems.length > 0) return { ...cost, state: 'partial', why: 'usage_does_not_add_up' };
  return source === 'estimated' ? { ...cost, state: 'estimated', why: 'usage_not_reported' } : cost;
}

/**
 * Nothing reached a model: the upstream was not called, could not be reached, or said no, whoever stayed to hear it. Of an error
 * only what it reports is billed, and never what its request asked for.
 */
function wasInVain({ facts: asked }: Admission, { attempts, ending }: Observation, { raw }: Usage): boolean {
  const last = attempts.at(-1);
  if (last === undefined || ending === 'unreachable') return true;
  // Sent elsewhere, or told no.
  if (last.status !== null) return last.status >= 300 && raw === null;
  // Nobody answers half a question.
  return asked?.isWhole === false && ending !== 'complete';
}

/** Whether the tokens of an exchange that reported none can be counted from its text. */
export function canBeEstimated(admission: Admission, observation: Observation, usage: Usage): boolean {
  const { endpoint } = admission.arrival;
  return (
    usage.readings === null &&
    usage.raw === null &&
    endpoint?.billing === 'metered' &&
    endpoint.transport === 'http' &&
    TEXT_GROUPS.has(endpoint.group) &&
    !wasInVain(admission, observation, usage) &&
    !isInBackground(admission.facts, observation.facts)
  );
}

const TEXT_GROUPS = new Set<EndpointGroup>(['chat', 'completions', 'responses', 'embeddings', 'decisions']);

/** A response that was begun goes on without its client. Only such ones wait for their turn, should the request not be readable. */
function isInBackground(asked: RequestFacts | null, facts: ReplyFacts | null): boolean {
  return facts?.status === 'queued' || (asked?.isBackground === true && facts?.status !== 'completed');
}

const SWITCHING_PROTOCOLS = 101;

/** What the turns of a socket do not tell: a response that was under way when it ended, and the time of a session without usage. */
function socketCost({ group }: Endpoint, { attempts, facts }: Observation): Cost {
  if (attempts.at(-1)?.status !== SWITCHING_PROTOCOLS) return NO_COST;
  if (group === 'live') return unknown('unpriced', 'no_usage');
  if (facts?.status === 'in_progress') return UNFINISHED;
  return facts?.status === 'incomplete' ? { ...NO_COST, state: 'partial', why: 'response_unfinished' } : NO_COST;
}

const STORING_GROUPS = new Set<EndpointGroup>(['vector_stores', 'containers']);

/** Paid for as long as it stands; what is put into it is paid for with it. */
function storageCost(endpoint: Endpoint, { status, facts }: Observation): Cost {
  const isRefused = status !== null && status >= 400;
  return isRefused || workStartedBy(endpoint) === null ? NO_COST : laterCost(endpoint, facts);
}

/** Known when the work has ended; only work that has a name can be asked after. */
function laterCost(endpoint: Endpoint, facts: ReplyFacts | null): Cost {
  const isNamed = facts !== null && facts.id !== null && workStartedBy(endpoint) !== null;
  return isNamed ? unknown('pending', 'in_progress') : unknown('unpriced', 'no_usage');
}

function unknown(state: 'unpriced' | 'pending', why: string): Cost {
  return { ...NO_COST, state, amount: null, why };
}
