import { OpenAI } from 'openai-v6';
import { AssistantStream } from 'openai-v6/lib/AssistantStream';

import { callsOf } from './calls.ts';
import { describeAssistants } from './scenarios.ts';
import type { AssistantsSdk } from './scenarios.ts';

// The classes of two majors are never the same type; the members that the scenarios use are the same in both.
const sdk = { OpenAI, AssistantStream, callsOf } as unknown as AssistantsSdk;

describeAssistants('openai 6', '/openai/v1', { ...sdk, knowsIncompleteRuns: true });
