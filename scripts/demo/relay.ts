// The demo's second part: requests that are carried to OpenAI byte for byte, and their records.
import type OpenAI from 'openai';
import { toFile } from 'openai';

import { type Admin, account, dim, part, print, reply, step } from './tell.ts';

const question = 'Solve 3x + 11 = 14';

export async function showRelay(client: OpenAI, admin: Admin, model: string): Promise<void> {
  part('Everything else of OpenAI, relayed');
  const messages = [{ role: 'user' as const, content: question }];

  step(1, `A chat completion: ${question}`);
  const whole = await client.chat.completions.create({ model, messages }).withResponse();
  reply(whole.data.choices[0]?.message.content ?? '');
  await account(admin, whole.response);

  step(2, 'The same, streamed');
  const streamed = await client.chat.completions
    .create({ model, messages, stream: true, stream_options: { include_usage: true } })
    .withResponse();
  const pieces: string[] = [];
  for await (const chunk of streamed.data) pieces.push(chunk.choices[0]?.delta.content ?? '');
  reply(pieces.join(''));
  print(dim(`   in ${pieces.length} chunks`));
  await account(admin, streamed.response);

  step(3, 'An embedding of the question');
  const embedded = await client.embeddings
    .create({ model: 'text-embedding-3-small', input: question, encoding_format: 'float' })
    .withResponse();
  const vector = embedded.data.data[0]?.embedding ?? [];
  const start = vector.slice(0, 4).map((value) => value.toFixed(3));
  reply(`${vector.length} numbers: ${start.join(', ')}, ...`);
  await account(admin, embedded.response);

  step(4, 'A file, uploaded and read back');
  const notes = await toFile(Buffer.from(`${question}\n`), 'notes.txt');
  const uploaded = await client.files.create({ file: notes, purpose: 'user_data' }).withResponse();
  reply(`uploaded as ${uploaded.data.id}, ${uploaded.data.bytes} bytes`);
  await account(admin, uploaded.response);
  const content = await client.files.content(uploaded.data.id);
  reply(`read back: ${(await content.text()).trim()}`);
  await account(admin, content);
  await client.files.delete(uploaded.data.id);
}
