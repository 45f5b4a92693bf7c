// Which of the real keys opens the next exchange: shares by weight, and a rest for one that the upstream turned away.
import type { Clock } from '../domain/clock.ts';

/** One real key with what goes along with it. Only `authorization` is secret. */
export interface PooledCredential {
  readonly name: string;
  readonly weight: number;
  /** The value of the header, `Bearer ...`. */
  readonly authorization: string;
  readonly organization: string | null;
  readonly project: string | null;
}

export interface CredentialPool {
  /** The next by weight among those awake; where all rest, the one that wakes first. */
  choose(): PooledCredential;
  /** That of a name; null where the settings have it no more. */
  named(name: string): PooledCredential | null;
  /** @param untilMs wall clock */
  rest(credential: PooledCredential, untilMs: number): void;
  /** Is there another one awake, that a second try would meet? */
  hasOtherAwake(than: PooledCredential): boolean;
}

interface Seat {
  readonly credential: PooledCredential;
  restsUntil: number;
  /** Smooth weighted round robin: grows by its weight at each choice, and pays the total when chosen. */
  credit: number;
}

/** @throws Error when there is none */
export function credentialPool(credentials: readonly PooledCredential[], clock: Clock): CredentialPool {
  if (credentials.length === 0)
    throw new Error('there is no upstream credential; set OPENAI_API_KEY or upstream.credentials');
  const seats: Seat[] = credentials.map((credential) => ({ credential, restsUntil: 0, credit: 0 }));
  const only = seats.length === 1 ? seats[0]!.credential : null;
  const seatOf = (credential: PooledCredential) => seats.find((seat) => seat.credential === credential);
  return {
    choose() {
      if (only) return only;
      const now = clock.now();
      const awake = seats.filter((seat) => seat.restsUntil <= now);
      if (awake.length === 0) return seats.reduce((a, b) => (b.restsUntil < a.restsUntil ? b : a)).credential;
      let total = 0;
      let chosen = awake[0]!;
      for (const seat of awake) {
        seat.credit += seat.credential.weight;
        total += seat.credential.weight;
        if (seat.credit > chosen.credit) chosen = seat;
      }
      chosen.credit -= total;
      return chosen.credential;
    },
    named: (name) => credentials.find((credential) => credential.name === name) ?? null,
    rest(credential, untilMs) {
      const seat = seatOf(credential);
      if (seat) seat.restsUntil = Math.max(seat.restsUntil, untilMs);
    },
    hasOtherAwake(than) {
      const now = clock.now();
      return seats.some((seat) => seat.credential !== than && seat.restsUntil <= now);
    },
  };
}
