// Where intents and records go, and the intent of an admission.
import type { ExchangeRecord, Intent } from '../domain/exchange-record.ts';
import type { Admission } from '../domain/exchange.ts';
import type { Written } from '../domain/stores.ts';

export interface Records {
  writeIntent(intent: Intent, written: Written): void;
  writeRecord(record: ExchangeRecord, written: Written): void;
}

export function intentOf({ arrival, caller, model, facts, tags, hold }: Admission): Intent {
  return {
    id: arrival.id,
    at: arrival.receivedAt,
    teamId: caller.team.id,
    keyId: caller.key.id,
    userId: caller.key.userId,
    endUser: facts?.endUser ?? null,
    method: arrival.method,
    path: arrival.path,
    endpoint: arrival.endpoint?.path ?? null,
    model,
    tags,
    hold,
  };
}
