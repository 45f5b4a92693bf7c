import { OpenAI, toFile } from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { ResponsesWS } from 'openai/resources/responses/ws';

import { describeSdk } from './scenarios.ts';

describeSdk('openai 7', { OpenAI, toFile, ResponsesWS, OpenAIRealtimeWS });
