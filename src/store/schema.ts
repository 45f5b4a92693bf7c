// The tables of the shared store, as Kysely sees them. Times are milliseconds since 1970.
import type { AssistantSchema } from './assistant-schema.ts';

export interface Schema extends AssistantSchema {
  teams: { id: string; name: string; created_at: number };
  keys: {
    id: string;
    team_id: string;
    name: string;
    token_hash: string;
    token_hint: string;
    /** JSON array of strings. */
    endpoints: string;
    status: string;
    expires_at: number | null;
    created_at: number;
  };
}
