// The tables of the ledger, as Kysely sees them. Amounts that are added up stand in two parts, `hi` millions and `lo` ones, so that
// no sum leaves 64 bits. Single amounts are decimal text: whole pico-dollars, or tokens.

export interface LedgerSchema {
  budgets: {
    id: string;
    scope: string;
    key_id: string | null;
    team_id: string | null;
    user_id: string | null;
    model: string | null;
    tag: string | null;
    limit_money: string | null;
    limit_tokens: number | null;
    period: string;
    is_rolling: number;
    time_zone: string;
    kind: string;
    counts_estimates: number;
    /** JSON array of numbers. */
    thresholds: string;
    increase_money: string | null;
    increase_tokens: number | null;
    increase_until: number | null;
    created_at: number;
    changed_at: number;
    is_deleted: number;
  };
  budget_windows: {
    budget_id: string;
    account: string;
    window_start: number;
    spent_hi: number;
    spent_lo: number;
    held_hi: number;
    held_lo: number;
  };
  /** Only where replicas share budgets. */
  budget_holds: {
    exchange_id: string;
    budget_id: string;
    account: string;
    window_start: number;
    unit: string;
    counts_estimates: number;
    amount: string;
    owner: string;
    expires_at: number;
    details: string;
  };
  entries: {
    settle_key: string;
    kind: string;
    exchange_id: string | null;
    team_id: string | null;
    key_id: string | null;
    user_id: string | null;
    endpoint: string | null;
    model: string | null;
    state: string;
    amount: string | null;
    tokens_in: number;
    tokens_out: number;
    at: number;
    /** JSON of all that no query asks for. */
    details: string;
  };
  /** How far into the spool of the only process: `sums` and `entries`. */
  ledger_places: {
    name: string;
    seq: number;
  };
  rollups: {
    grain: string;
    tag: string;
    at: number;
    team_id: string;
    key_id: string;
    user_id: string;
    model: string;
    endpoint: string;
    exchanges: number;
    measured_hi: number;
    measured_lo: number;
    estimated_hi: number;
    estimated_lo: number;
    partial: number;
    pending: number;
    unpriced: number;
    free: number;
    tokens_in: number;
    tokens_out: number;
  };
}
