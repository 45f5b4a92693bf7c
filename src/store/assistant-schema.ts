// The tables of the Assistants API. `created_at` and the other times of objects are Unix seconds, as the API tells them; what
// ends in `_ms`, and the times of leases, are milliseconds. Columns marked JSON hold text that only assistant-rows.ts reads.
import type { Generated } from 'kysely';

export interface AssistantSchema {
  assistants: {
    /** Grows with the order of writing: the second half of every sort. So in all tables here. */
    pk: Generated<number>;
    team_id: string;
    id: string;
    created_at: number;
    /** JSON: everything but ids and times. */
    body: string;
  };
  threads: {
    pk: Generated<number>;
    team_id: string;
    id: string;
    created_at: number;
    /** JSON. */
    tool_resources: string;
    /** JSON. */
    metadata: string;
    container_id: string | null;
    container_used_ms: number | null;
    /** JSON. */
    container_files: string;
    /** JSON. */
    extra: string;
    /** Kept beside every writing and deleting of messages. */
    message_count: Generated<number>;
  };
  messages: {
    pk: Generated<number>;
    thread_pk: number;
    id: string;
    created_at: number;
    role: string;
    status: string;
    /** JSON: content, attachments, reasons, times, markers. */
    body: string;
    /** JSON. */
    metadata: string;
    assistant_id: string | null;
    /** Of an imported message it may name a run that is not here. */
    run_id: string | null;
    /** Null in messages that no run here made. */
    turn: number | null;
    out_ix: number | null;
  };
  /** The history that a model is shown. */
  history: {
    pk: Generated<number>;
    thread_pk: number;
    /** Place in the thread: milliseconds, pushed on where needed to stay after what stands there. */
    ord: number;
    /** `message`, or the type of the payload. */
    kind: string;
    message_pk: number | null;
    run_id: string | null;
    turn: number | null;
    out_ix: number | null;
    /** JSON; null in messages. */
    payload: string | null;
  };
  runs: {
    pk: Generated<number>;
    team_id: string;
    key_id: string;
    thread_pk: number;
    thread_id: string;
    assistant_id: string;
    id: string;
    created_at: number;
    status: string;
    /** JSON; written once. */
    spec: string;
    /** JSON: pending calls, error, reason, usage. */
    outcome: string;
    started_at: number | null;
    expires_at: number;
    cancelled_at: number | null;
    failed_at: number | null;
    completed_at: number | null;
    /** JSON. */
    metadata: string;
    /** JSON. */
    include: string;
    /** JSON. */
    extra: string;
    lease_owner: string | null;
    /** 0 where nobody holds the run. */
    lease_until: number;
    fence: number;
    turn: number;
    reruns: number;
    next_try_ms: number;
    /** When it became terminal; null before. */
    ended_ms: number | null;
  };
  steps: {
    pk: Generated<number>;
    run_pk: number;
    id: string;
    created_at: number;
    status: string;
    /** JSON: what the step did. */
    details: string;
    /** JSON: error and times. */
    outcome: string;
    /** JSON. */
    metadata: string;
    /** JSON. */
    usage: string | null;
    turn: number | null;
    out_ix: number | null;
    /** JSON. */
    extra: string;
  };
  run_events: {
    run_pk: number;
    seq: number;
    event: string;
    /** JSON; a run stands in it without its spec, which is in its row. */
    data: string;
  };
  generated_files: {
    pk: Generated<number>;
    team_id: string;
    id: string;
    filename: string;
    bytes: number;
    created_at: number;
    thread_id: string;
    run_id: string;
    upstream_id: string | null;
    /** 1 once something other than its thread names it. */
    is_shared: Generated<number>;
  };
  generated_file_parts: { file_pk: number; part: number; content: Uint8Array };
  idempotency: {
    team_id: string;
    key: string;
    route: string;
    body_hash: string;
    /** Null while the request is being answered. */
    reply: string | null;
    reserved_ms: number;
  };
}
