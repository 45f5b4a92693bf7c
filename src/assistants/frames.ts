// The events of runs as server-sent events. Never an `id:`: beside a ping it breaks the Python SDK (reference: assistants 2.9).
import type { RunEvent } from '../domain/run.ts';
import { messageObject, runObject, stepObject, threadObject } from './wire.ts';

export const DONE_FRAME = 'event: done\ndata: [DONE]\n\n';
export const PING_FRAME = ': ping\n\n';

/** @param include what the run's creation asked for with `include[]` */
export function frameOf(event: RunEvent, include: readonly string[]): string {
  return frame(event.event, eventData(event, include));
}

export function frame(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function eventData(event: RunEvent, include: readonly string[]): unknown {
  if ('run' in event) return runObject(event.run);
  if ('message' in event) return messageObject(event.message);
  if ('step' in event) return stepObject(event.step, include);
  if ('thread' in event) return threadObject(event.thread);
  if ('error' in event) return { error: event.error };
  return { id: event.id, object: event.event, delta: event.delta };
}
