// Usage in the frames that an upstream sends over a WebSocket: one such exchange holds many billed things. Looks at frames
// only, never throws, and never parses one that reports nothing.
import type { StreamUsage } from '../domain/endpoint.ts';
import { ENDPOINTS } from './endpoint-rows.ts';
import { readReplyFacts } from './usage.ts';

/** One response within a WebSocket, or the transcription of what was said to it. */
export interface Turn {
  readonly kind: 'response' | 'transcription';
  /** The upstream's own usage object; undefined where the turn ended without one. */
  readonly usage: unknown;
  readonly model: string | null;
}

export interface TurnReader {
  /** @returns the turn that this text frame ends, at its first telling */
  read(frame: Buffer): Turn | null;
  /** The model of the session, as far as the upstream named it. */
  readonly model: string | null;
  /** Usage that belongs to the socket as a whole, of which each telling replaces the last; undefined where there is none. */
  readonly usage: unknown;
}

/** A longer frame is not parsed; its ends are searched. */
const FRAME_BYTES_MAX = 1024 * 1024;
/** Where an event says what it is. */
const TYPE_BYTES = 512;
const HEAD_BYTES = 4 * 1024;
const TAIL_BYTES = 16 * 1024;
/** Turns remembered, so that none is told twice. */
const TOLD_MAX = 1000;

const USAGE = Buffer.from('"usage"');
const TRANSCRIPTION = 'conversation.item.input_audio_transcription.completed';
/** They name the models that later events leave out. */
const SESSION_EVENTS = [
  '"session.created"',
  '"session.updated"',
  '"transcription_session.created"',
  '"transcription_session.updated"',
].map((name) => Buffer.from(name));

/** What any row knows of usage on sockets; a socket at an unknown path is read in the same way. */
const REPORTS = new Map<string, Report>();
for (const { transport, streamUsage } of ENDPOINTS) {
  if (transport === 'websocket') for (const report of streamUsage ?? []) noteReport(report);
}

interface Report {
  readonly event: string;
  /** As it stands in a frame, quotes included. */
  readonly quoted: Buffer;
  /** Members that lead to the usage object. */
  readonly path: readonly string[];
  readonly isCumulative: boolean;
}

function noteReport({ event, path, cumulative }: StreamUsage): void {
  if (event === null) return;
  const names = path.split('.');
  REPORTS.set(event, {
    event,
    quoted: Buffer.from(`"${event}"`),
    // A row may point deeper, at what is charged; the record keeps the object as reported.
    path: names.slice(0, names.indexOf('usage') + 1),
    isCumulative: cumulative,
  });
}

export function openTurnReader(): TurnReader {
  const told = new Set<string>();
  let model: string | null = null;
  let transcriptionModel: string | null = null;
  let usage: unknown;

  function read(frame: Buffer): Turn | null {
    const start = frame.subarray(0, TYPE_BYTES);
    const isLong = frame.length > FRAME_BYTES_MAX;
    if (!isLong && SESSION_EVENTS.some((name) => start.includes(name))) readSession(parse(frame));
    if (isLong) return readLong(frame, start);
    if (!frame.includes(USAGE)) return null;
    for (const { quoted } of REPORTS.values()) if (frame.includes(quoted)) return readReport(parse(frame));
    return null;
  }

  function readSession(event: unknown): void {
    const named = member(event, 'session', 'model');
    if (typeof named === 'string') model = named;
    const input =
      member(event, 'session', 'audio', 'input', 'transcription', 'model') ??
      member(event, 'session', 'input_audio_transcription', 'model');
    if (typeof input === 'string') transcriptionModel = input;
  }

  function readReport(event: unknown): Turn | null {
    const type = member(event, 'type');
    const report = typeof type === 'string' ? REPORTS.get(type) : undefined;
    if (report === undefined) return null;
    const reported = member(event, ...report.path);
    const found = typeof reported === 'object' && reported !== null ? reported : undefined;
    if (report.isCumulative) {
      usage = found ?? usage;
      return null;
    }
    const id = member(event, 'response', 'id') ?? member(event, 'item_id');
    if (typeof id === 'string' && !isFirst(`${report.event} ${id} ${String(member(event, 'content_index'))}`))
      return null;
    const served = member(event, 'response', 'model');
    return turnOf(report.event, found, typeof served === 'string' ? served : null);
  }

  function readLong(frame: Buffer, start: Buffer): Turn | null {
    for (const { event, quoted, isCumulative } of REPORTS.values()) {
      if (isCumulative || !start.includes(quoted)) continue;
      const facts = readReplyFacts(frame.subarray(0, HEAD_BYTES), frame.subarray(-TAIL_BYTES));
      return turnOf(event, facts.usages[0], facts.model);
    }
    return null;
  }

  function turnOf(event: string, reported: unknown, served: string | null): Turn {
    return event === TRANSCRIPTION
      ? { kind: 'transcription', usage: reported, model: transcriptionModel }
      : { kind: 'response', usage: reported, model: served ?? model };
  }

  function isFirst(name: string): boolean {
    if (told.has(name)) return false;
    if (told.size >= TOLD_MAX) told.delete(told.values().next().value!);
    told.add(name);
    return true;
  }

  return {
    read,
    get model() {
      return model;
    },
    get usage() {
      return usage;
    },
  };
}

function member(value: unknown, ...names: readonly string[]): unknown {
  let found = value;
  for (const name of names) {
    if (typeof found !== 'object' || found === null) return undefined;
    // Any object can be asked for any name.
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

function parse(frame: Buffer): unknown {
  try {
    return JSON.parse(frame.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
