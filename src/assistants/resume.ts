// Where a reader goes on who comes back with the place of the last event that he saw. Pure.
import type { PlacedEvent } from '../domain/run.ts';
import { type Delta, Shown } from './deltas.ts';

export interface Before {
  /** What he was told of what is open, as far as stored events say so. */
  readonly shown: Shown;
  /** The message or the calls that were being told at the place; null where nothing was. */
  readonly open: {
    /** The place right before it began. */
    readonly beginsBehind: number;
    /** The last event before any delta of it. */
    readonly quietUntil: number;
  } | null;
}

/** @param events every stored one up to the place */
export function readBefore(events: readonly PlacedEvent[]): Before {
  const shown = new Shown();
  let open: { readonly kind: 'message' | 'step'; beginsBehind: number; quietUntil: number } | null = null;
  for (const { seq, event } of events) {
    shown.note(event);
    if (event.event === 'thread.message.created') open = { kind: 'message', beginsBehind: seq - 1, quietUntil: seq };
    else if (event.event === 'thread.run.step.created' && event.step.details.type === 'tool_calls')
      open = { kind: 'step', beginsBehind: seq - 1, quietUntil: seq };
    else if (event.event === 'thread.message.in_progress' || event.event === 'thread.run.step.in_progress') {
      if (open !== null && open.quietUntil === seq - 1) open.quietUntil = seq;
    } else if (event.event === 'thread.run.requires_action') open = null;
    else if (open !== null && open.kind in event) open = null;
  }
  return { shown, open };
}

/** @returns where to read on, and what he has by then */
export function resumeAt(
  after: number,
  events: readonly PlacedEvent[],
  { shown, open }: Before,
  /** The deltas up to the place; null where nobody knows them any more. */
  told: readonly Delta[] | null,
): { readonly place: number; readonly shown: Shown } {
  if (open === null || after === open.quietUntil) return { place: after, shown };
  if (told !== null) {
    for (const delta of told) shown.note(delta);
    return { place: after, shown };
  }
  // He may have any part of it: it is told again from its beginning.
  const { beginsBehind } = open;
  return { place: beginsBehind, shown: readBefore(events.filter(({ seq }) => seq <= beginsBehind)).shown };
}
