// The tables of prices, as Kysely sees them.

export interface PriceSchema {
  price_versions: {
    version: string;
    /** JSON. */
    layers: string;
    first_used_at: number;
  };
  price_refreshes: {
    seq: number;
    /** JSON. */
    book: string;
    at: number;
  };
  unpriced: {
    model: string;
    endpoint: string;
    reason: string;
    count: number;
    first_seen_at: number;
    last_seen_at: number;
  };
}
