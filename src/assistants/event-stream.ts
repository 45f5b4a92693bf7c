// Server-sent events out of bytes, in the batches in which they came: what came together can be written together.
import { createParser } from 'eventsource-parser';

import { type JsonObject, parseObject } from './upstream-json.ts';

/** The last word of a chat's stream; no JSON, and no event. */
const DONE = '[DONE]';

/** @throws Error where the body breaks off */
export async function* eventBatches(body: AsyncIterable<Buffer>): AsyncGenerator<readonly JsonObject[]> {
  const decoder = new TextDecoder();
  let batch: JsonObject[] = [];
  const parser = createParser({
    onEvent({ data }) {
      const event = data === DONE ? null : parseObject(data);
      if (event !== null) batch.push(event);
    },
  });
  for await (const chunk of body) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (batch.length === 0) continue;
    yield batch;
    batch = [];
  }
  // An end of the stream ends its last event too, with or without the empty line.
  parser.feed(`${decoder.decode()}\n\n`);
  if (batch.length > 0) yield batch;
}
