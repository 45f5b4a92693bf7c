import { OpenAI } from 'openai';
import { AssistantStream } from 'openai/lib/AssistantStream';

import { callsOf } from './calls.ts';
import { describeAssistants } from './scenarios.ts';

describeAssistants('openai 7', '/openai', { OpenAI, AssistantStream, callsOf, knowsIncompleteRuns: true });
