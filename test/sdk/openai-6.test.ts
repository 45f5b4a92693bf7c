import { OpenAI, toFile } from 'openai-v6';
import { OpenAIRealtimeWS } from 'openai-v6/realtime/ws';
import { ResponsesWS } from 'openai-v6/resources/responses/ws';

import { describeSdk } from './scenarios.ts';
import type { Sdk } from './scenarios.ts';

// The classes of two majors are never the same type; the members that the scenarios use are the same in both.
const sdk = { OpenAI, toFile, ResponsesWS, OpenAIRealtimeWS } as unknown as Sdk;

describeSdk('openai 6', sdk);
