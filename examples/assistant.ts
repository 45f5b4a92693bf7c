// An assistant, as code for the Assistants API makes it: OPENAI_API_KEY=sk-tw-... node examples/assistant.ts
import { setTimeout as delay } from 'node:timers/promises';

import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? 'http://0.0.0.0:4000/openai',
  apiKey: process.env.OPENAI_API_KEY,
});

const assistant = await client.beta.assistants.create({
  name: 'Math Tutor',
  instructions: 'You are a math tutor. Help solve equations.',
  model: 'gpt-4o',
});
const thread = await client.beta.threads.create();
await client.beta.threads.messages.create(thread.id, { role: 'user', content: 'Solve 3x + 11 = 14' });

let run = await client.beta.threads.runs.create(thread.id, { assistant_id: assistant.id });
while (run.status === 'queued' || run.status === 'in_progress') {
  await delay(200);
  run = await client.beta.threads.runs.retrieve(run.id, { thread_id: thread.id });
}
console.log(`The run is ${run.status}.`);

// The newest message comes first.
for await (const message of client.beta.threads.messages.list(thread.id)) {
  const [part] = message.content;
  console.log(`${message.role}: ${part?.type === 'text' ? part.text.value : part?.type}`);
}

await client.beta.assistants.delete(assistant.id);
