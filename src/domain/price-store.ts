// What the room of prices asks of the store. Versions and refreshes are only ever added.

export interface PriceStore {
  /** Several processes share it: a refresh may come from another one. */
  readonly isShared: boolean;
  /** Keeps the layers of a version, as JSON. One that is kept already stays as it is. */
  keepVersion(version: string, layers: string): Promise<void>;
  /** The layers of a version, as JSON; null where nobody used it. */
  findVersion(version: string): Promise<string | null>;
  lastRefresh(): Promise<Refresh | null>;
  /** @returns false where another one came first: then nothing is written */
  addRefresh(refresh: Omit<Refresh, 'at'>): Promise<boolean>;

  /** Adds to what is counted of exchanges without a price. Above its bound new names are counted as `*`. */
  addUnpriced(seen: readonly Unpriced[]): Promise<void>;
  /** The one seen last first. */
  listUnpriced(): Promise<readonly Unpriced[]>;
}

export interface Refresh {
  /** From 1 on, without gaps. */
  readonly seq: number;
  /** The whole refreshed layer, as JSON. */
  readonly book: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Exchanges without a price that have model, endpoint and reason in common. */
export interface Unpriced {
  /** Empty where none was named. */
  readonly model: string;
  /** The row's path template; `unknown` for a path that no row knows. */
  readonly endpoint: string;
  /** A code, such as `unknown_model`. */
  readonly reason: string;
  readonly count: number;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
}
