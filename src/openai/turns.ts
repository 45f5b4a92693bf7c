// Usage in the frames that an upstream sends over a WebSocket: one such exchange holds many billed things. Looks at frames
// only, never throws, and never reads one that reports nothing.
import type { Attempt, Ending } from '../domain/exchange.ts';
import type { ReplyFacts } from '../domain/facts.ts';
import { Findings, FindingsPlan, USAGE_BYTES_MAX, factsOf, wantsOfReply } from './findings.ts';
import { JsonReader } from './json-reader.ts';
import { type UsageReport, reportsOn } from './usage-reports.ts';

/** One response within a WebSocket, or the transcription of what was said to it. */
export interface Turn {
  readonly kind: 'response' | 'transcription';
  /** What the event that ended it tells. */
  readonly facts: ReplyFacts;
  /** The upstream's own usage object; undefined where the turn ended without one. */
  readonly usage: unknown;
  readonly model: string | null;
  /** Of a response that was under way when its socket ended, and that the upstream keeps: it may say later what was used. */
  readonly cut?: Cut;
}

/** How the socket ended. */
export interface Cut {
  readonly ending: Ending;
  readonly attempts: readonly Attempt[];
}

export interface TurnReader {
  /** A text frame of the client, which may ask that nothing be kept. */
  hear(frame: Buffer): void;
  /** @returns the turn that this text frame ends, at its first telling */
  read(frame: Buffer): Turn | null;
  /** The socket has ended. @returns responses under way that the upstream keeps: they count as unfinished no more */
  cut(how: Cut): readonly Turn[];
  /** The model of the session, as far as the upstream named it. */
  readonly model: string | null;
  /** Usage that belongs to the socket as a whole, of which each telling replaces the last; undefined where there is none. */
  readonly usage: unknown;
  /** Whether a response began that has not ended; and whether others have. Null where none is open. */
  readonly unfinished: 'all' | 'last' | null;
  /** How far a translation came, which is all that such a session tells; null in all others. */
  readonly translatedSeconds: number | null;
}

/** Where an event says what it is. */
const TYPE_BYTES = 512;
/** Turns remembered, so that none is told twice. */
const TOLD_MAX = 1000;

const USAGE = Buffer.from('usage"');
/** Only the deltas of a translation belong to a session, and not to a response. */
const TRANSLATED = [
  '"session.output_audio.delta"',
  '"session.output_transcript.delta"',
  '"session.input_transcript.delta"',
].map((name) => Buffer.from(name));
const ELAPSED = Buffer.from('elapsed_ms"');
const STORE = Buffer.from('store"');
const BEGINNING = Buffer.from('"response.created"');
/** Of one that was cancelled without a word on usage nobody knows what it cost: it did not end. */
const ENDINGS = ['"response.done"', '"response.completed"', '"response.incomplete"', '"response.failed"'].map((name) =>
  Buffer.from(name),
);
/** Responses under way at once, on all lanes of a socket. */
const OPEN_MAX = 1000;
const TRANSCRIPTION = 'conversation.item.input_audio_transcription.completed';
/** They name the models that later events leave out. */
const SESSION_EVENTS = [
  '"session.created"',
  '"session.updated"',
  '"transcription_session.created"',
  '"transcription_session.updated"',
].map((name) => Buffer.from(name));
const SESSION_MODELS = [
  'session.model',
  'session.audio.input.transcription.model',
  'session.input_audio_transcription.model',
];

/** A report, and its event as it stands in a frame, quotes included. */
interface Report extends UsageReport {
  readonly quoted: Buffer;
}
const REPORTS = new Map<string, Report>();
for (const [event, report] of reportsOn('websocket'))
  REPORTS.set(event, { ...report, quoted: Buffer.from(`"${event}"`) });

const PLAN = new FindingsPlan([
  ...['type', 'item_id', 'content_index', 'elapsed_ms', 'stream_id', 'store', 'response.store', ...SESSION_MODELS].map(
    (path) => ({ path, as: 'value' }) as const,
  ),
  ...wantsOfReply('response.'),
  ...['usage', 'response.usage'].map((path) => ({ path, as: 'value', bytesMax: USAGE_BYTES_MAX }) as const),
]);

/** @param isKept whether the upstream keeps responses of this socket, unless its client says no */
export function openTurnReader(isKept: boolean): TurnReader {
  const told = new Set<string>();
  /** By id: what the upstream keeps of it; null where it keeps nothing. */
  const open = new Map<string, ReplyFacts | null>();
  /** Lanes on which the client asked last that nothing be kept. */
  const unkept = new Set<string>();
  let ended = 0;
  let model: string | null = null;
  let transcriptionModel: string | null = null;
  let usage: unknown;
  let translatedMs: number | null = null;

  function hear(frame: Buffer): void {
    if (!isKept || (unkept.size === 0 && !frame.includes(STORE))) return;
    const found = findIn(frame);
    if (found?.string('type') !== 'response.create') return;
    if ((found.value('store') ?? found.value('response.store')) !== false) unkept.delete(laneOf(found));
    else if (unkept.size < OPEN_MAX) unkept.add(laneOf(found));
  }

  function read(frame: Buffer): Turn | null {
    const start = frame.subarray(0, TYPE_BYTES);
    if (start.includes(BEGINNING)) begin(findIn(frame));
    else if (open.size > 0 && ENDINGS.some((name) => start.includes(name))) end(findIn(frame));
    if (SESSION_EVENTS.some((name) => start.includes(name))) readSession(findIn(frame));
    if (frame.includes(ELAPSED) && TRANSLATED.some((name) => frame.includes(name))) readElapsed(findIn(frame));
    if (!frame.includes(USAGE)) return null;
    for (const { quoted } of REPORTS.values()) if (frame.includes(quoted)) return readReport(findIn(frame));
    return null;
  }

  function begin(found: Findings | null): void {
    const id = found?.string('type') === 'response.created' ? found.string('response.id') : null;
    if (found === null || id === null || open.size >= OPEN_MAX) return;
    // What the upstream says of it goes before what was asked.
    const store = found.value('response.store') ?? !unkept.has(laneOf(found));
    open.set(id, isKept && store !== false ? factsOf(found, 'response.', []) : null);
  }

  function end(found: Findings | null): void {
    if (open.delete(found?.string('response.id') ?? '')) ended++;
  }

  function readSession(found: Findings | null): void {
    if (found === null) return;
    const [sessionPath, ...inputPaths] = SESSION_MODELS;
    model = found.string(sessionPath!) ?? model;
    for (const path of inputPaths) transcriptionModel = found.string(path) ?? transcriptionModel;
  }

  function readElapsed(found: Findings | null): void {
    const elapsed = found?.value('elapsed_ms');
    if (typeof elapsed === 'number' && elapsed >= 0) translatedMs = Math.max(translatedMs ?? 0, elapsed);
  }

  function readReport(found: Findings | null): Turn | null {
    const report = REPORTS.get(found?.string('type') ?? '');
    if (found === null || report === undefined) return null;
    const reported = found.value(report.path);
    const object = typeof reported === 'object' && reported !== null ? reported : undefined;
    if (report.isCumulative) {
      usage = object ?? usage;
      return null;
    }
    const id = found.string('response.id') ?? found.string('item_id');
    if (id !== null && !isFirst(`${report.event} ${id} ${String(found.value('content_index'))}`)) return null;
    return turnOf(report.event, object, factsOf(found, 'response.', object === undefined ? [] : [object]));
  }

  function turnOf(event: string, reported: unknown, facts: ReplyFacts): Turn {
    const isTranscription = event === TRANSCRIPTION;
    const named = isTranscription ? transcriptionModel : (facts.model ?? model);
    return {
      kind: isTranscription ? 'transcription' : 'response',
      facts: { ...facts, model: named },
      usage: reported,
      model: named,
    };
  }

  function cut(how: Cut): readonly Turn[] {
    const turns: Turn[] = [];
    for (const [id, facts] of open) {
      if (facts === null) continue;
      open.delete(id);
      turns.push({ kind: 'response', facts, usage: undefined, model: facts.model ?? model, cut: how });
    }
    return turns;
  }

  function isFirst(name: string): boolean {
    if (told.has(name)) return false;
    if (told.size >= TOLD_MAX) told.delete(told.values().next().value!);
    told.add(name);
    return true;
  }

  return {
    hear,
    read,
    cut,
    get model() {
      return model;
    },
    get usage() {
      return usage;
    },
    get unfinished() {
      if (open.size === 0) return null;
      return ended === 0 ? 'all' : 'last';
    },
    get translatedSeconds() {
      return translatedMs === null ? null : translatedMs / 1000;
    },
  };
}

/** Several responses may be under way at once, each on a lane; empty for a client that names none. */
function laneOf(found: Findings): string {
  return found.string('stream_id') ?? '';
}

/** However long the frame is, no more of it is decoded than what is wanted. Null where it is no JSON. */
function findIn(frame: Buffer): Findings | null {
  const found = new Findings(PLAN);
  const reader = new JsonReader(PLAN.json, found);
  reader.feed(frame, 0, frame.length);
  return reader.isWhole ? found : null;
}
