// A conversation over a WebSocket: OPENAI_BASE_URL=http://localhost:4000/openai OPENAI_API_KEY=sk-tw-... node examples/realtime.ts
// The SDK's OpenAIRealtimeWS speaks to https addresses only; with TLS in front of Throughway it works as well.
import { WebSocket } from 'ws';

const baseUrl = process.env.OPENAI_BASE_URL ?? 'http://localhost:4000/openai';
const socket = new WebSocket(`${baseUrl.replace(/^http/, 'ws')}/realtime?model=gpt-realtime`, {
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
});

socket.on('open', () => {
  const content = [{ type: 'input_text', text: 'Solve 3x + 11 = 14' }];
  const session = { type: 'realtime', output_modalities: ['text'] };
  socket.send(JSON.stringify({ type: 'session.update', session }));
  socket.send(JSON.stringify({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } }));
  socket.send(JSON.stringify({ type: 'response.create' }));
});

socket.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});

socket.on('message', (message: Buffer) => {
  const event = JSON.parse(message.toString());
  if (event.type === 'response.output_text.delta') process.stdout.write(event.delta);
  if (event.type === 'error') console.error(event.error.message);
  if (event.type === 'response.done') {
    console.log('\n', event.response.usage);
    socket.close();
  }
});
