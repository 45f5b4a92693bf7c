// The demo's first part: what code for the Assistants API does, call by call, as examples/assistant.ts does it.
import { setTimeout as delay } from 'node:timers/promises';

import type OpenAI from 'openai';

import { type Admin, accountForRun, dim, part, print, reply, step } from './tell.ts';

const POLL_MS = 100;

export async function showAssistant({ beta }: OpenAI, admin: Admin, model: string): Promise<void> {
  part('The Assistants API, which OpenAI switched off on 2026-08-26');

  step(1, 'beta.assistants.create');
  const instructions = 'You are a math tutor. Help solve equations.';
  const assistant = await beta.assistants.create({ name: 'Math Tutor', instructions, model });
  reply(`${assistant.id}: ${assistant.name}, on ${assistant.model}`);

  step(2, 'beta.threads.create');
  const thread = await beta.threads.create();
  reply(thread.id);

  step(3, 'beta.threads.messages.create');
  const asked = { role: 'user' as const, content: 'Solve 3x + 11 = 14' };
  const question = await beta.threads.messages.create(thread.id, asked);
  reply(`${question.id}: ${textOf(question)}`);

  step(4, 'beta.threads.runs.create');
  let run = await beta.threads.runs.create(thread.id, { assistant_id: assistant.id });
  reply(`${run.id} is ${run.status}`);

  step(5, 'beta.threads.runs.retrieve, until it has ended');
  while (run.status === 'queued' || run.status === 'in_progress') {
    await delay(POLL_MS);
    run = await beta.threads.runs.retrieve(run.id, { thread_id: thread.id });
    reply(`${run.id} is ${run.status}`);
  }
  if (run.last_error) reply(`${run.last_error.code}: ${run.last_error.message}`);
  print(dim(`   usage: ${JSON.stringify(run.usage)}`));
  await accountForRun(admin, run.id);

  step(6, 'beta.threads.messages.list');
  const messages = await beta.threads.messages.list(thread.id);
  for (const message of messages.data) reply(`${message.role}: ${textOf(message)}`);

  step(7, 'beta.assistants.delete');
  const deleted = await beta.assistants.delete(assistant.id);
  reply(`${deleted.id} is ${deleted.deleted ? 'deleted' : 'still there'}`);
  if (run.status !== 'completed') throw new Error(`The run ended as ${run.status}.`);
}

function textOf(message: OpenAI.Beta.Threads.Message): string {
  return message.content.map((each) => (each.type === 'text' ? each.text.value : each.type)).join('');
}
