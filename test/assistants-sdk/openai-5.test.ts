import { OpenAI } from 'openai-v5';
import { AssistantStream } from 'openai-v5/lib/AssistantStream';

import { callsOf } from './calls.ts';
import { describeAssistants } from './scenarios.ts';
import type { AssistantsSdk } from './scenarios.ts';

// The classes of two majors are never the same type; the members that the scenarios use are the same in both.
const sdk = { OpenAI, AssistantStream, callsOf } as unknown as AssistantsSdk;

describeAssistants('openai 5', '/openai', { ...sdk, knowsIncompleteRuns: true });
