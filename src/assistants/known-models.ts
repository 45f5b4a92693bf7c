// The models that the upstream has, so that a name that is none is refused when it is given and not when a run fails. A no needs a
// list that was just read; an upstream that gives none is believed to have every model.
import { setTimeout as delay } from 'node:timers/promises';

import type { AssistantsSettings } from '../config/assistants.ts';
import { modelUnknown } from './api-error.ts';
import { resolveModel } from './models.ts';
import type { UpstreamCalls } from './upstream-calls.ts';

/** A list that is older is read anew before anything is refused: the model may be newer than it. */
const FRESH_MS = 60_000;
/** What stood in a list that is older is still believed, and looked after meanwhile. */
const KEPT_MS = 600_000;
/** Nobody waits longer for a list. */
const WAIT_MS = 2_000;
/** An upstream that gave none is left alone for so long. */
const REST_MS = 60_000;
/** Models that an account tuned itself: not every list has them. */
const TUNED = 'ft:';

export interface KnownModels {
  /** @throws ApiError for a model that neither the upstream nor an alias nor the operator knows */
  check(model: string, calls: UpstreamCalls): Promise<void>;
}

export function openKnownModels(
  { checkModels, modelAliases, unlistedModels }: AssistantsSettings,
  now: () => number,
): KnownModels {
  let known: { readonly models: ReadonlySet<string>; readonly at: number } | null = null;
  let asking: { readonly done: Promise<void>; readonly since: number } | null = null;
  let restsUntil = -Infinity;

  /** Never rejects; one at a time. */
  function look(calls: UpstreamCalls): { readonly done: Promise<void>; readonly since: number } | null {
    if (asking === null && now() >= restsUntil) {
      asking = { done: read(calls), since: now() };
    }
    return asking;
  }

  async function read(calls: UpstreamCalls): Promise<void> {
    const models = await readModels(calls);
    if (models.size > 0) known = { models, at: now() };
    else restsUntil = now() + REST_MS;
    asking = null;
  }

  const isFresh = () => known !== null && now() - known.at <= FRESH_MS;

  return {
    async check(model, calls) {
      const called = resolveModel(model, modelAliases);
      if (!checkModels || called.startsWith(TUNED) || unlistedModels.some((pattern) => matches(pattern, called)))
        return;
      if (known?.models.has(called)) {
        if (now() - known.at > KEPT_MS) look(calls);
        return;
      }
      const looking = isFresh() ? null : look(calls);
      const leftMs = looking === null ? 0 : looking.since + WAIT_MS - now();
      if (looking !== null && leftMs > 0) await Promise.race([looking.done, delay(leftMs, undefined, { ref: false })]);
      if (isFresh() && !known?.models.has(called)) throw modelUnknown(model);
    },
  };
}

function matches(pattern: string, model: string): boolean {
  return pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern;
}

/** Empty where there is no list to be had. */
async function readModels(calls: UpstreamCalls): Promise<ReadonlySet<string>> {
  try {
    const { data } = await calls.call('GET', '/v1/models');
    if (!Array.isArray(data)) return new Set();
    return new Set(data.map((row: { readonly id?: unknown }) => String(row?.id)));
  } catch {
    // The record of the call says why.
    return new Set();
  }
}
