// One question, one answer: OPENAI_BASE_URL=http://localhost:4000/openai OPENAI_API_KEY=sk-tw-... node examples/chat.ts
import OpenAI from 'openai';

// The SDK reads OPENAI_BASE_URL and OPENAI_API_KEY by itself.
const client = new OpenAI();

const completion = await client.chat.completions.create({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Solve 3x + 11 = 14' }],
});

console.log(completion.choices[0]?.message.content);
console.log(completion.usage);
