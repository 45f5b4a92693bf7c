// The Assistants API's part of the shared store, the same for both engines.
import type { AssistantStore } from '../domain/assistant-store.ts';
import { assistantObjects } from './assistant-objects.ts';
import type { Engine } from './engine.ts';
import { keepsakes } from './keepsakes.ts';
import { runEventLog } from './run-events.ts';
import { runRequests } from './run-requests.ts';
import { runWork } from './run-work.ts';

export function assistantStore(engine: Engine): AssistantStore {
  return {
    now: () => engine.now(),
    ...assistantObjects(engine),
    ...runRequests(engine),
    ...runWork(engine),
    ...runEventLog(engine),
    ...keepsakes(engine),
  };
}
