// Deltas on their way to another replica: packets of what belongs together, in pieces that fit into one notice. Pure.
import type { RunRef } from '../domain/run.ts';
import { NOTICE_BYTES_MAX } from '../domain/wakeups.ts';
import type { Delta } from './deltas.ts';

/** Deltas of one run that follow one another. */
export interface DeltaPacket {
  readonly run: RunRef;
  /** The place of the stored event that they follow. */
  readonly base: number;
  /** The number of the first of them behind it, from 1. */
  readonly first: number;
  readonly deltas: readonly Delta[];
}

/** A larger packet is not sent: readers elsewhere are told the rest when the object ends. Characters. */
const PACKET_CHARACTERS_MAX = 2 * 1024 * 1024;
/** What stands before a piece's text. */
const HEAD_BYTES_MAX = 100;

/** @returns none where the packet is too large */
export function piecesOf({ run, base, first, deltas }: DeltaPacket): readonly string[] {
  const text = asAscii(JSON.stringify(deltas));
  if (text.length > PACKET_CHARACTERS_MAX) return [];
  const room = NOTICE_BYTES_MAX - HEAD_BYTES_MAX;
  const count = Math.ceil(text.length / room);
  return Array.from(
    { length: count },
    (_, i) => `${run} ${base} ${first} ${i + 1}/${count} ${text.slice(i * room, (i + 1) * room)}`,
  );
}

/** The run that a piece is about: cheap, for most pieces are about runs that nobody reads here. */
export function runOfPiece(piece: string): RunRef {
  return Number.parseInt(piece, 10) as RunRef;
}

/** Puts pieces together that come in their order; what does not fit is dropped, and asked for again by who lacks it. */
export class PacketReader {
  #head = '';
  #next = 1;
  #texts: string[] = [];

  /** @returns the packet that this piece completes */
  take(piece: string): DeltaPacket | null {
    const [, head = '', at = '', of = '', text = ''] = /^(\d+ \d+ \d+) (\d+)\/(\d+) (.*)$/.exec(piece) ?? [];
    const [number, count] = [Number(at), Number(of)];
    if (number === 1) {
      this.#head = head;
      this.#texts = [];
    } else if (head !== this.#head || number !== this.#next) {
      this.#head = '';
      return null;
    }
    this.#next = number + 1;
    this.#texts.push(text);
    if (head === '' || number < count) return null;
    const [run = 0, base = 0, first = 0] = head.split(' ').map(Number);
    const deltas = readDeltas(this.#texts.join(''));
    this.#head = '';
    this.#texts = [];
    return deltas === null ? null : { run: run as RunRef, base, first, deltas };
  }
}

/** Written by another replica's piecesOf; for a moment a run may have two workers, whose pieces make no whole. */
function readDeltas(text: string): readonly Delta[] | null {
  try {
    return JSON.parse(text) as readonly Delta[];
  } catch {
    return null;
  }
}

/** So that characters are bytes. */
function asAscii(json: string): string {
  return json.replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
