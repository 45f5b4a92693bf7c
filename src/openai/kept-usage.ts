// Readings of what is billed by time while it is kept or at work: files in vector stores, containers, training.
import type { Meter, Reading } from '../domain/usage.ts';

const DAY_MS = 86_400_000n;

const CONTAINER_METERS: ReadonlyMap<string, Meter> = new Map([
  ['1g', 'container_1g_seconds'],
  ['4g', 'container_4g_seconds'],
  ['16g', 'container_16g_seconds'],
  ['64g', 'container_64g_seconds'],
]);

/** @param bytes kept for all of this time */
export function storageReading(bytes: bigint, ms: number): Reading {
  const byteMs = bytes * BigInt(Math.round(ms));
  return { meter: 'vector_store_byte_days', quantity: (byteMs + DAY_MS / 2n) / DAY_MS };
}

/**
 * How long it lasted; that begun minutes and at least five of them are billed is the price's to know.
 * @param memoryLimit null for the smallest, which is what OpenAI gives unasked; a size that nobody has heard of has no reading
 */
export function containerReading(memoryLimit: string | null, ms: number): Reading | null {
  const meter = CONTAINER_METERS.get(memoryLimit ?? '1g');
  return meter === undefined ? null : { meter, quantity: BigInt(Math.max(0, Math.round(ms))) };
}

/** @param ms of core training, without the time in the queue */
export function reinforcementReading(ms: number): Reading {
  return { meter: 'reinforcement_seconds', quantity: BigInt(Math.max(0, Math.round(ms))) };
}
