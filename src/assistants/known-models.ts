// The models that the upstream has, where the operator wants unknown ones refused early. Asked for now and then; an upstream
// that gives no list is believed to have every model.
import type { AssistantsSettings } from '../config/assistants.ts';
import { ApiError, modelUnknown } from './api-error.ts';
import { resolveModel } from './models.ts';
import type { UpstreamCalls } from './upstream-calls.ts';

const KEPT_MS = 600_000;

export interface KnownModels {
  /** @throws ApiError for a model that neither the upstream nor an alias knows */
  check(model: string, calls: UpstreamCalls): Promise<void>;
}

export function openKnownModels({ checkModels, modelAliases }: AssistantsSettings, now: () => number): KnownModels {
  let known: { readonly models: Promise<ReadonlySet<string>>; readonly until: number } | null = null;
  return {
    async check(model, calls) {
      if (!checkModels) return;
      if (known === null || known.until <= now()) known = { models: readModels(calls), until: now() + KEPT_MS };
      const models = await known.models;
      if (models.size > 0 && !models.has(resolveModel(model, modelAliases))) throw modelUnknown(model);
    },
  };
}

async function readModels(calls: UpstreamCalls): Promise<ReadonlySet<string>> {
  try {
    const { data } = await calls.call('GET', '/v1/models');
    if (!Array.isArray(data)) return new Set();
    return new Set(data.map((row: { readonly id?: unknown }) => String(row?.id)));
  } catch (error) {
    if (error instanceof ApiError) return new Set();
    throw error;
  }
}
