// Waits for what must come true, as long as needed and no longer.
import { setTimeout as delay } from 'node:timers/promises';

export async function eventually(what: string, isTrue: () => boolean, deadlineMs = 5000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`did not come true within ${deadlineMs} ms: ${what}`);
    await delay(5);
  }
}
