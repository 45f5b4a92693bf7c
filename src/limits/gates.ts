// Which limits stand in the way of an ask: those of its key, its team, its user, its model, and of the gateway as a whole.
import type { LimitsOfScope, LimitsSettings } from '../config/limits.ts';
import type { Clock } from '../domain/clock.ts';
import type { Caller } from '../domain/key.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import { Counter, type Counters } from './counters.ts';

export interface Gate {
  /** Names what is counted, here and in Redis. */
  readonly id: string;
  /** As a refusal calls it. */
  readonly told: string;
  /** Where the operator sets it. */
  readonly setting: string;
  /** The caller sees how he stands with his own limits, not how all others do. */
  readonly isOwn: boolean;
  readonly limits: Limits;
  readonly counter: Counter;
}

export interface Gates {
  /** Empty for an ask that nothing limits. */
  before(caller: Caller, model: string | null): readonly Gate[];
}

/** Names of models are written by clients: so many are remembered, of such a length. */
const MODELS_MAX = 1000;
const MODEL_CHARACTERS_MAX = 200;
const NONE: readonly Gate[] = [];

export function openGates(settings: LimitsSettings, counters: Counters, clock: Clock): Gates {
  const ofGateway = gatewayGates(settings.gateway);
  const rows = modelRows(settings.models);
  const byCaller = new WeakMap<Caller, readonly Gate[]>();
  const byModel = new Map<string, readonly Gate[]>();

  function ofCaller(caller: Caller): readonly Gate[] {
    const known = byCaller.get(caller);
    if (known !== undefined && !hasDropped(known)) return known;
    counters.dropIdle(clock.elapsedMs());
    const gates: Gate[] = [];
    const add = (scope: 'key' | 'team' | 'user', id: string, limits: Limits) => {
      if (isUnlimited(limits)) return;
      const told = scope === 'key' ? 'this key' : `this key's ${scope}`;
      const counted = `${scope}:${id}`;
      const counter = counters.of(counted);
      gates.push({ id: counted, told, setting: `limits of the ${scope}`, isOwn: true, limits, counter });
    };
    add('key', caller.key.id, caller.key.limits);
    add('team', caller.team.id, caller.team.limits);
    if (caller.user !== null) add('user', caller.user.id, caller.user.limits);
    const found = gates.length === 0 ? NONE : gates;
    byCaller.set(caller, found);
    return found;
  }

  /** An exact name wins over patterns, a longer pattern over a shorter one. */
  function ofModel(model: string): readonly Gate[] {
    const known = byModel.get(model);
    if (known !== undefined) return known;
    const row = rows.find(({ name, prefix }) => (prefix === null ? model === name : model.startsWith(prefix)));
    const gates = row === undefined ? ofGateway : [row.gate, ...ofGateway];
    if (model.length > MODEL_CHARACTERS_MAX) return gates;
    if (byModel.size >= MODELS_MAX) byModel.clear();
    byModel.set(model, gates);
    return gates;
  }

  return {
    before(caller, model) {
      const own = ofCaller(caller);
      const others = model === null || rows.length === 0 ? ofGateway : ofModel(model);
      if (others.length === 0) return own;
      return own.length === 0 ? others : [...own, ...others];
    },
  };
}

function hasDropped(gates: readonly Gate[]): boolean {
  for (const gate of gates) if (gate.counter.isDropped) return true;
  return false;
}

function isUnlimited(limits: Limits): boolean {
  return (
    limits.requestsPerMinute === null &&
    limits.tokensPerMinute === null &&
    limits.concurrentExchanges === null &&
    limits.concurrentStreams === null &&
    limits.concurrentSockets === null
  );
}

function gatewayGates(written: LimitsOfScope): readonly Gate[] {
  const limits = asLimits(written);
  if (isUnlimited(limits)) return NONE;
  const gate = { id: 'gateway', told: 'this gateway', setting: 'setting limits.gateway', isOwn: false, limits };
  return [{ ...gate, counter: new Counter() }];
}

interface ModelRow {
  readonly name: string;
  /** What stands before the `*` of a pattern; null for an exact name. */
  readonly prefix: string | null;
  readonly gate: Gate;
}

/** The most exact first. All models of a pattern share its limits. */
function modelRows(models: LimitsSettings['models']): readonly ModelRow[] {
  return Object.entries(models)
    .map(([name, written]): ModelRow => {
      const prefix = name.endsWith('*') ? name.slice(0, -1) : null;
      const told = prefix === null ? `the model "${name}"` : `the models "${name}"`;
      const limits = asLimits(written);
      const gate = { id: `model:${name}`, told, setting: 'setting limits.models', isOwn: false, limits };
      return { name, prefix, gate: { ...gate, counter: new Counter() } };
    })
    .toSorted((a, b) => Number(a.prefix !== null) - Number(b.prefix !== null) || b.name.length - a.name.length);
}

function asLimits(written: LimitsOfScope): Limits {
  const limits: { -readonly [K in keyof Limits]: Limits[K] } = { ...UNLIMITED };
  for (const [name, value] of Object.entries(written)) if (value !== undefined) limits[name as keyof Limits] = value;
  return limits;
}
