import { OpenAI } from 'openai-v4';
import { AssistantStream } from 'openai-v4/lib/AssistantStream';

import { callsOf4 } from './calls.ts';
import { describeAssistants } from './scenarios.ts';
import type { AssistantsSdk } from './scenarios.ts';

// The classes of two majors are never the same type; the members that the scenarios use are the same in both.
const sdk = { OpenAI, AssistantStream, callsOf: callsOf4 } as unknown as AssistantsSdk;

describeAssistants('openai 4', '/openai/v1', { ...sdk, knowsIncompleteRuns: false });
