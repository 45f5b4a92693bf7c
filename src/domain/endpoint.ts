// What a row of OpenAI's API tells about one operation. The rows stand in openai/endpoint-rows.ts.

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Path template below the upstream's origin, such as `/v1/files/{file_id}`; never with a query. */
  readonly path: string;
  /** What the `endpoints` of a virtual key may name. */
  readonly group: EndpointGroup;
  readonly transport: 'http' | 'websocket';
  /** Where the request names the model: the member `model` of its body, its query, or the path parameter `{model}`. */
  readonly modelIn: 'body' | 'query' | 'path' | null;
  /** What in the request asks for a stream. Whether the reply is one is told by its content-type alone. */
  readonly streamedBy: 'body.stream' | 'query.stream' | 'body.stream_format' | 'always' | 'websocket' | null;
  /** Path of the usage in a JSON reply, `[]` standing for each element of an array; null where a reply has none. */
  readonly usage: string | null;
  /** The events that carry usage in a stream or on a WebSocket; null where none does. */
  readonly streamUsage: readonly StreamUsage[] | null;
  readonly billing: Billing;
  /** Whether the request may be sent again after it reached the upstream. */
  readonly retrySafe: boolean;
  /** OpenAI shut these operations down on 2026-08-26 (reference: assistants). */
  readonly emulated: boolean;
  /** Path parameter to the kind of object it names. Empty for administration: those objects belong to no team. */
  readonly idsIn: Readonly<Record<string, ObjectKind>>;
}

export interface StreamUsage {
  /** The event's name or its member `type`; null for streams of unnamed events. */
  readonly event: string | null;
  /** Path of the usage in the event's JSON. */
  readonly path: string;
  /** Each event repeats what the earlier ones said and adds to it: only the last one counts. */
  readonly cumulative: boolean;
}

/**
 * - `free`: OpenAI charges nothing for it.
 * - `metered`: what is owed is known when this exchange ends.
 * - `deferred`: starts work or storage that is charged when it ends, or day by day (reference: cost 8).
 * - `repeated`: tells again what an earlier exchange owes; never a charge of its own, but it may settle a deferred one.
 * - `unpriced`: costs money that no reply through the gateway shows, or at a price that nobody has published.
 */
export type Billing = 'free' | 'metered' | 'deferred' | 'repeated' | 'unpriced';

export type EndpointGroup =
  | 'admin'
  | 'agents'
  | 'assistants'
  | 'audio'
  | 'batches'
  | 'chat'
  | 'chatkit'
  | 'completions'
  | 'containers'
  | 'content_provenance_checks'
  | 'conversations'
  | 'decisions'
  | 'embeddings'
  | 'evals'
  | 'files'
  | 'fine_tuning'
  | 'images'
  | 'live'
  | 'models'
  | 'moderations'
  | 'realtime'
  | 'responses'
  | 'safety'
  | 'skills'
  | 'uploads'
  | 'vaults'
  | 'vector_stores'
  | 'videos'
  | 'webhooks';

/** A kind of object in the upstream account that a team may own. */
export type ObjectKind =
  | 'agent'
  | 'agent_artifact'
  | 'agent_environment'
  | 'agent_environment_template'
  | 'agent_invocation'
  | 'agent_session'
  | 'agent_subagent'
  | 'agent_turn'
  | 'assistant'
  | 'automation'
  | 'batch'
  | 'chat_completion'
  | 'chatkit_session'
  | 'chatkit_thread'
  | 'container'
  | 'container_file'
  | 'conversation'
  | 'conversation_item'
  | 'eval'
  | 'eval_output_item'
  | 'eval_run'
  | 'file'
  | 'file_batch'
  | 'fine_tuning_job'
  | 'live_session'
  | 'message'
  | 'model'
  | 'model_permission'
  | 'realtime_call'
  | 'response'
  | 'run'
  | 'run_step'
  | 'safety_alert'
  | 'safety_case'
  | 'skill'
  | 'skill_version'
  | 'thread'
  | 'upload'
  | 'vault'
  | 'vault_credential'
  | 'vector_store'
  | 'video'
  | 'video_character'
  | 'voice'
  | 'voice_consent'
  | 'webhook_endpoint';
