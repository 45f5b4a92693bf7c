// Where an exchange is let in and out. In: places in limits, and money set aside for the worst case. Out: what it really cost is
// charged, the rest released, and the places are given back. Each admission leaves once.
import type { Admission, Arrival, Observation, Settlement } from '../domain/exchange.ts';
import { NOTHING_SEEN, type RequestFacts } from '../domain/facts.ts';
import type { Caller } from '../domain/key.ts';
import type { Permits } from '../domain/limits.ts';
import type { WorkTold } from '../domain/pending-work.ts';
import type { Prices } from '../domain/price.ts';
import type { Refusal } from '../domain/refusal.ts';
import { type Usage, tokensIn } from '../domain/usage.ts';
import type { Estimates, RequestSample } from '../estimates/estimates.ts';
import { headerValue } from '../http/headers.ts';
import type { Fit, Held, Ledger } from '../ledger/ledger.ts';
import type { Limiter } from '../limits/limits.ts';
import { workToldBy } from '../openai/objects.ts';
import type { Turn } from '../openai/turns.ts';
import { toolReadings } from '../openai/usage.ts';
import type { Overrun } from './carry.ts';
import { canBeEstimated } from './cost.ts';
import { mayBeCut, openOverrun } from './overrun.ts';
import { NO_USAGE, type SettledTurn, settle, settleFree, settleTurn, usageOf } from './settle.ts';

export interface GateParts {
  readonly limiter: Limiter;
  readonly ledger: Ledger;
  readonly estimates: Pick<Estimates, 'estimateUsage' | 'learnReasoning' | 'reasoningMargin'>;
  readonly prices: () => Prices;
  /** Request headers that give tags, divided by commas. */
  readonly tagHeaders: readonly string[];
  /** Host of the upstream, on which prices may depend. */
  readonly host: string;
  readonly elapsedMs: () => number;
  /** Of work that is paid for later: a client has read how it stands, or changed it. */
  readonly onWorkTold?: (told: WorkTold) => void;
}

export interface Entrant {
  readonly arrival: Arrival;
  readonly caller: Caller;
  readonly model: string | null;
  readonly facts: RequestFacts | null;
  readonly kind: 'exchange' | 'stream' | 'socket';
  /** This gateway answers it, and what it sets going is admitted on its own. */
  readonly isFree: boolean;
}

export interface Gate {
  /** Whether a budget may turn this away: then all of its body that decides what it may cost is read first. */
  mustKnowCost(arrival: Arrival, caller: Caller, model: string | null): boolean;
  /** At once, but where limits or budgets are shared with other replicas. @throws Refusal (also from the promise) */
  enter(entrant: Entrant): Admission | Promise<Admission>;
  /**
   * The last word on an admission that went upstream. At once, but where its usage must be estimated.
   * @param sample of its request, for estimates; null where none was kept
   */
  leave(admission: Admission, observation: Observation, sample: RequestSample | null): Settlement | Promise<Settlement>;
  /** One turn of a socket: it is charged at once, and the hold stands for the next. */
  turn(admission: Admission, turn: Turn): ChargedTurn;
  /** Null for what may finish, however much it costs, and for what nothing was set aside for. */
  overrun(admission: Admission): Overrun | null;
  /** The same for one that this gateway answered itself. */
  leaveFree(admission: Admission, observation: Observation): Settlement;
  /** Nothing came of it: the upstream was never called. */
  turnBack(admission: Admission): void;
}

export interface ChargedTurn extends SettledTurn {
  /** `over`: a budget has no more left than this. */
  readonly fit: Fit | Promise<Fit>;
}

/** A token is rarely less than this many bytes of JSON. Only for limits of tokens per minute: corrected when the truth is known. */
const BYTES_PER_TOKEN = 4;
const TAGS_MAX = 20;
const TAG_CHARACTERS_MAX = 100;

export function openGate(parts: GateParts): Gate {
  const { limiter, ledger, estimates, prices, host, elapsedMs } = parts;

  function enter(entrant: Entrant): Admission | Promise<Admission> {
    const { caller, model, kind, facts, isFree } = entrant;
    const tokens = isFree ? 0 : Math.ceil((facts?.bodyBytes ?? 0) / BYTES_PER_TOKEN) + (facts?.maxOutputTokens ?? 0);
    const places = limiter.acquire({ caller, model, kind, tokens });
    return places instanceof Promise ? places.then((taken) => setAside(entrant, taken)) : setAside(entrant, places);
  }

  function setAside(entrant: Entrant, places: Permits | { readonly refusal: Refusal }): Admission | Promise<Admission> {
    if ('refusal' in places) throw places.refusal;
    try {
      const held = admitted(entrant, places);
      return held instanceof Promise ? held.catch((error: unknown) => giveBack(places, error)) : held;
    } catch (error) {
      return giveBack(places, error);
    }
  }

  /** Whatever kept the exchange out, its places are free again. */
  function giveBack(places: Permits, error: unknown): never {
    places.release();
    throw error;
  }

  function admitted(entrant: Entrant, places: Permits): Admission | Promise<Admission> {
    const tags = tagsOf(entrant, parts.tagHeaders);
    const inForce = prices();
    const told = (held: Held | null): Admission => {
      if (held?.kind === 'refused') throw held.refusal;
      const { arrival, caller, model, facts } = entrant;
      const hold = held === null || held.hold.amounts.length === 0 ? null : held.hold;
      return { arrival, caller, model, facts, tags, hold, permits: places, prices: inForce, admittedMs: elapsedMs() };
    };
    const held = entrant.isFree ? null : hold(entrant, tags, inForce);
    return held instanceof Promise ? held.then(told) : told(held);
  }

  function hold(entrant: Entrant, tags: readonly string[], inForce: Prices): Held | Promise<Held> {
    const { arrival, caller, model, facts } = entrant;
    const { endpoint, receivedAt: at } = arrival;
    const worst = ledger.worstCase({ caller, endpoint, facts, model, at, host, prices: inForce });
    if ('refusal' in worst) return { kind: 'refused', refusal: worst.refusal };
    const endUser = facts?.endUser ?? null;
    return ledger.hold({ exchangeId: arrival.id, caller, endpoint, model, tags, endUser, worst, at });
  }

  function charge(admission: Admission, observation: Observation, usage: Usage): Settlement {
    const settlement = settle(admission, observation, usage, { prices: admission.prices, host });
    if (parts.onWorkTold !== undefined) tellOfWork(admission, observation, parts.onWorkTold);
    if (usage.raw !== null && usage.source !== 'estimated') learn(admission, observation, usage.raw);
    const { cost } = settlement;
    const tokens = usage.readings === null ? null : tokensIn(usage.readings);
    if (admission.hold !== null) ledger.charge(admission.hold, { cost, tokens });
    if (tokens !== null) admission.permits.correct(tokens);
    return settlement;
  }

  function learn({ model, facts: asked }: Admission, observation: Observation, raw: unknown): void {
    const models = [model, observation.facts?.model ?? null];
    estimates.learnReasoning({ models, raw, replies: repliesOf(asked), tookMs: tookMs(observation) });
  }

  async function estimate(
    { model, facts: asked }: Admission,
    observation: Observation,
    request: RequestSample | null,
  ): Promise<Usage> {
    const { facts } = observation;
    const { outputText, outputTextBytes } = facts ?? NOTHING_SEEN;
    const replies = repliesOf(asked);
    const reasoning = estimates.reasoningMargin(
      {
        model: facts?.model ?? model ?? '',
        replies,
        hasWritten: outputTextBytes > 0,
        tookMs: tookMs(observation),
      },
      request,
    );
    const readings = await estimates.estimateUsage({
      request,
      replyText: outputText,
      replyTextBytes: outputTextBytes,
      model: facts?.model ?? model ?? '',
    });
    const tools = facts === null ? [] : toolReadings(facts, asked);
    // Of an exchange that nothing is known of, nothing is said.
    if (readings.length + tools.length === 0) return NO_USAGE;
    const maxOutput = asked?.maxOutputTokens ?? null;
    const most = maxOutput === null ? null : maxOutput * replies;
    return withMargin(
      { source: 'estimated', readings: [...readings, ...tools], raw: null, problems: [] },
      reasoning,
      most,
    );
  }

  return {
    mustKnowCost: ({ endpoint }, caller, model) =>
      endpoint?.modelIn === 'body' &&
      (endpoint.billing === 'metered' || endpoint.billing === 'deferred') &&
      ledger.mayRefuse(caller, endpoint, model),
    enter,
    leave(admission, observation, sample) {
      admission.permits.release();
      const usage = usageOf(admission, observation);
      if (!canBeEstimated(admission, observation, usage)) return charge(admission, observation, usage);
      return estimate(admission, observation, sample).then(
        (estimated) => charge(admission, observation, estimated),
        () => charge(admission, observation, usage),
      );
    },
    turn(admission, turn) {
      const settled = settleTurn(admission, turn, { prices: admission.prices, host });
      const { cost, usage } = settled;
      const tokens = usage.readings === null ? null : tokensIn(usage.readings);
      if (tokens !== null) admission.permits.correct(tokens);
      const isCut = turn.cut !== undefined;
      const fit = admission.hold === null ? 'ok' : ledger.chargeTurn(admission.hold, { cost, tokens, isCut });
      return { ...settled, fit };
    },
    overrun: (admission) => (mayBeCut(admission) ? openOverrun(parts, admission) : null),
    leaveFree(admission, observation) {
      admission.permits.release();
      return settleFree(admission, observation);
    },
    turnBack({ hold: held, permits }) {
      if (held !== null) ledger.release(held);
      permits.correct(0);
      permits.release();
    },
  };
}

/** A request for more is refused by OpenAI, though not by us. */
const REPLIES_MAX = 128;

function repliesOf(asked: RequestFacts | null): number {
  return Math.min(REPLIES_MAX, Math.max(1, asked?.count ?? 1));
}

/** From the call that was answered, or was not, to the end. */
function tookMs({ attempts, endedMs }: Observation): number {
  const last = attempts.at(-1);
  return last === undefined ? 0 : endedMs - last.startedMs;
}

/** @param most output tokens that were asked for; reasoning is among them, and is output */
function withMargin(usage: Usage, reasoning: number, most: number | null): Usage {
  const readings = usage.readings ?? [];
  const seen = readings.find(({ meter }) => meter === 'output_text')?.quantity ?? 0n;
  const room = most === null ? reasoning : Math.max(0, most - Number(seen));
  const reasoningMargin = Math.min(reasoning, room);
  if (reasoningMargin === 0) return usage;
  const output = { meter: 'output_text', quantity: seen + BigInt(reasoningMargin) } as const;
  const others = readings.filter(({ meter }) => meter !== 'output_text');
  return { ...usage, readings: [...others, output], reasoningMargin };
}

function tellOfWork(
  { arrival }: Admission,
  { facts, status, ending }: Observation,
  tell: NonNullable<GateParts['onWorkTold']>,
): void {
  const { endpoint, path, method } = arrival;
  // Asked of every exchange: the row says at once whether it is one of the few.
  if (endpoint === undefined || endpoint.billing === 'metered' || facts === null || status !== 200) return;
  // What broke off may have told its status, and not what was used.
  if (ending !== 'complete') return;
  const work = workToldBy(endpoint, path);
  if (work !== null) tell({ ...work, isDeleted: method === 'DELETE', facts });
}

/** Those of the team and the key, and those that the client names for this request, each once. */
function tagsOf({ arrival, caller }: Entrant, names: readonly string[]): readonly string[] {
  const named = names.map((name) => headerValue(arrival.rawHeaders, name)).filter((value) => value !== null);
  if (named.length === 0) return tagsOfCaller(caller);
  const own = named
    .join()
    .split(',', TAGS_MAX)
    .map((tag) => tag.trim().slice(0, TAG_CHARACTERS_MAX))
    .filter((tag) => tag !== '');
  return [...new Set([...tagsOfCaller(caller), ...own])];
}

const tagsOfCallers = new WeakMap<Caller, readonly string[]>();

function tagsOfCaller(caller: Caller): readonly string[] {
  let tags = tagsOfCallers.get(caller);
  if (tags === undefined) tagsOfCallers.set(caller, (tags = [...new Set([...caller.team.tags, ...caller.key.tags])]));
  return tags;
}
