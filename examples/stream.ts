// An answer as it is written: OPENAI_BASE_URL=http://localhost:4000/openai OPENAI_API_KEY=sk-tw-... node examples/stream.ts
import OpenAI from 'openai';

const client = new OpenAI();

const events = await client.responses.create({ model: 'gpt-4o-mini', input: 'Solve 3x + 11 = 14', stream: true });

for await (const event of events) {
  if (event.type === 'response.output_text.delta') process.stdout.write(event.delta);
  if (event.type === 'response.completed') console.log('\n', event.response.usage);
}
