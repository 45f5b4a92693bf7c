// The tables of teams, keys, users and the audit. Columns marked JSON hold text that only key-rows.ts reads.

export interface KeySchema {
  teams: {
    id: string;
    name: string;
    /** JSON, as are the four below. */
    models: string;
    endpoints: string;
    limits: string;
    tags: string;
    metadata: string;
    capture: string;
    status: string;
    created_at: number;
  };
  keys: {
    id: string;
    team_id: string;
    user_id: string | null;
    name: string;
    /** Null once the key was deleted: then the token opens nothing, and may be given again. */
    token_hash: string | null;
    token_hint: string;
    former_hash: string | null;
    former_until: number | null;
    /** JSON, as are the five below. */
    models: string;
    endpoints: string;
    allowed_cidrs: string;
    limits: string;
    tags: string;
    metadata: string;
    on_disconnect: string | null;
    on_unpriced: string;
    on_unbounded: string;
    on_overrun: string;
    stream_usage: string;
    capture: string;
    status: string;
    expires_at: number | null;
    created_at: number;
  };
  users: {
    id: string;
    name: string;
    role: string;
    team_id: string | null;
    token_hash: string | null;
    token_hint: string | null;
    /** JSON, as is the one below. */
    limits: string;
    metadata: string;
    status: string;
    created_at: number;
  };
  audit: {
    seq: number;
    at: number;
    actor: string;
    address: string | null;
    action: string;
    kind: string;
    object_id: string;
    before_digest: string | null;
    after_digest: string | null;
    previous: string;
    hash: string;
  };
  /** One row: the last link. Whoever adds a row to the audit holds it locked, so that the chain never forks. */
  audit_head: { id: number; seq: number; hash: string };
}
