// One plausible request body for each operation that takes one, and more where it takes several kinds. Our own data.
// The exact bytes matter, not their meaning: spaces, escapes and the order of members are kept on purpose.
export interface Body {
  readonly contentType: string;
  readonly bytes: Buffer;
}

const BOUNDARY = '----throughway-7MA4YWxkTrZu0gW';

/** A part of a form: a field, or a file with its name and bytes. */
type Part = readonly [name: string, value: string] | readonly [name: string, fileName: string, bytes: Buffer | string];

function json(value: unknown): Body {
  return { contentType: 'application/json', bytes: Buffer.from(JSON.stringify(value)) };
}

/** JSON as someone typed it, which no serialiser would write again in the same way. */
function typed(text: string): Body {
  return { contentType: 'application/json; charset=utf-8', bytes: Buffer.from(text) };
}

function form(...parts: Part[]): Body {
  const encoded = parts.map(([name, value, bytes]) => {
    const file = bytes === undefined ? '' : `; filename="${value}"`;
    const type = bytes === undefined ? '' : 'Content-Type: application/octet-stream\r\n';
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${type}\r\n`;
    return Buffer.concat([Buffer.from(head), Buffer.from((bytes ?? value) as string), Buffer.from('\r\n')]);
  });
  const bytes = Buffer.concat([...encoded, Buffer.from(`--${BOUNDARY}--\r\n`)]);
  return { contentType: `multipart/form-data; boundary=${BOUNDARY}`, bytes };
}

/** Every byte there is, the boundary's own dashes and line ends among them. */
const BINARY = Buffer.from([...Array(256).keys(), ...Buffer.from('\r\n--'), ...Array(64).fill(0)]);
const SDP = 'v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n';
const LINES = '{"custom_id":"1","method":"POST","url":"/v1/responses","body":{"model":"gpt-6-luna","input":"Hi"}}\n';
const GRADER = {
  type: 'string_check',
  name: 'Equal',
  input: '{{item.a}}',
  reference: '{{sample.output_text}}',
  operation: 'eq',
};
const ALERT = {
  threshold_amount: 50_000,
  currency: 'USD',
  interval: 'month',
  notification_channel: { type: 'email', recipients: ['finance@acme.example'] },
};
const USER = (text: string) => [{ role: 'user', content: text }];
const ROLE = { role_id: 'role_1a2b3c' };
const CERTIFICATES = { certificate_ids: ['cert_1a2b3c', 'cert_4d5e6f'] };
const AUTOMATION = { type: 'periodic', expression: '0 9 * * 1-5', time_zone: 'Europe/Berlin' };

export const BODIES: Readonly<Record<string, readonly Body[]>> = {
  'POST /v1/chat/completions': [
    json({
      model: 'gpt-6-luna',
      messages: USER('Solve 3x + 11 = 14'),
      temperature: 0.2,
      logit_bias: { '50256': -100 },
    }),
    json({ model: 'gpt-6-luna', messages: USER('Hi'), stream: true, stream_options: { include_usage: true } }),
    typed(
      '{ "model" : "gpt-6-luna",\n  "messages":[{"role":"user","content":"Gr\\u00fc\u00dfe \\/ \u2028"}], "seed": 9007199254740993, "top_p":1.0,\r\n\t"n":1,"n":1 }\n',
    ),
  ],
  'POST /v1/chat/completions/{completion_id}': [json({ metadata: { ticket: 'SUP-1182' } })],
  'POST /v1/completions': [
    json({ model: 'gpt-3.5-turbo-instruct', prompt: ['Once upon', 'a time'], max_tokens: 7, stop: ['\n', 'END'] }),
    json({ model: 'gpt-3.5-turbo-instruct', prompt: 'Once', stream: true, stream_options: { include_usage: true } }),
  ],
  'POST /v1/responses': [
    json({ model: 'gpt-6.2-sol', input: 'Name three rivers.', store: false, reasoning: { effort: 'low' } }),
    json({ model: 'gpt-6.2-sol', input: USER('Weather?'), tools: [{ type: 'web_search' }], stream: true }),
    json({ model: 'gpt-6.2-sol', input: 'Long work', background: true, previous_response_id: 'resp_0f9e8d' }),
  ],
  'POST /v1/responses/compact': [json({ model: 'gpt-6.2-sol', input: USER('So far'), instructions: 'Keep names.' })],
  'POST /v1/responses/input_tokens': [json({ model: 'gpt-6.2-sol', input: 'How long is this?' })],
  'POST /v1/conversations': [
    json({ metadata: { topic: 'demo' }, items: [{ type: 'message', role: 'user', content: 'Hello!' }] }),
  ],
  'POST /v1/conversations/{conversation_id}': [json({ metadata: { topic: 'rivers' } })],
  'POST /v1/conversations/{conversation_id}/items': [
    json({ items: [{ type: 'message', role: 'user', content: 'And?' }] }),
  ],
  'POST /v1/embeddings': [
    json({ model: 'text-embedding-3-small', input: ['eins', 'zwei'], encoding_format: 'base64', dimensions: 256 }),
  ],
  'POST /v1/decisions': [
    json({ model: 'gpt-6-luna', input: 'Refund?', questions: [{ type: 'predicate', question: 'Is it rude?' }] }),
  ],
  'POST /v1/moderations': [json({ model: 'omni-moderation-latest', input: [{ type: 'text', text: 'Be kind.' }] })],

  'POST /v1/audio/speech': [
    json({ model: 'tts-1', input: 'Guten Tag.', voice: 'alloy', response_format: 'mp3' }),
    json({ model: 'gpt-4o-mini-tts', input: 'Guten Tag.', voice: 'marin', stream_format: 'sse' }),
  ],
  'POST /v1/audio/transcriptions': [
    form(['file', 'speech.wav', BINARY], ['model', 'gpt-4o-transcribe'], ['include[]', 'logprobs']),
    form(['file', 'speech.wav', BINARY], ['model', 'gpt-4o-mini-transcribe'], ['stream', 'true']),
    form(['model', 'whisper-1'], ['response_format', 'srt'], ['file', 'Gr\u00fc\u00dfe "x".wav', BINARY]),
  ],
  'POST /v1/audio/translations': [
    form(['file', 'rede.mp3', BINARY], ['model', 'whisper-1'], ['response_format', 'verbose_json']),
  ],
  'POST /v1/audio/voice_consents': [
    form(['name', 'Consent'], ['language', 'en-US'], ['recording', 'consent.wav', BINARY]),
  ],
  'POST /v1/audio/voice_consents/{consent_id}': [json({ name: 'Consent of October' })],
  'POST /v1/audio/voices': [
    form(['name', 'Reader'], ['consent', 'cons_1a2b3c'], ['audio_sample', 'sample.wav', BINARY]),
  ],
  'POST /v1/images/generations': [
    json({ model: 'gpt-image-2', prompt: 'A lighthouse', size: '1024x1024', quality: 'low', n: 2 }),
    json({ model: 'gpt-image-2', prompt: 'A lighthouse', stream: true, partial_images: 2 }),
  ],
  'POST /v1/images/edits': [
    form(
      ['model', 'gpt-image-2'],
      ['image[]', 'a.png', BINARY],
      ['image[]', 'b.png', BINARY],
      ['prompt', 'Add a boat'],
    ),
    form(['stream', 'true'], ['model', 'gpt-image-2'], ['image', 'a.png', BINARY], ['prompt', 'Add a boat']),
    json({ model: 'gpt-image-2', images: [{ file_id: 'file-1a2b3c' }], prompt: 'Add a boat' }),
  ],
  'POST /v1/images/variations': [form(['image', 'a.png', BINARY], ['model', 'dall-e-2'], ['n', '2'])],
  'POST /v1/videos': [
    json({ model: 'sora-2', prompt: 'Waves', seconds: '4', size: '720x1280' }),
    form(['model', 'sora-2'], ['prompt', 'Waves'], ['input_reference', 'first.png', BINARY]),
  ],
  'POST /v1/videos/characters': [form(['name', 'Captain'], ['video', 'captain.mp4', BINARY])],
  'POST /v1/videos/edits': [
    json({ video: { id: 'video_1a2b3c' }, prompt: 'At night' }),
    form(['video', 'w.mp4', BINARY], ['prompt', 'At night']),
  ],
  'POST /v1/videos/extensions': [json({ video: { id: 'video_1a2b3c' }, prompt: 'Go on', seconds: '4' })],
  'POST /v1/videos/{video_id}/remix': [json({ prompt: 'In winter' })],

  'POST /v1/realtime/calls': [
    { contentType: 'application/sdp', bytes: Buffer.from(SDP) },
    form(['sdp', SDP], ['session', '{"type":"realtime","model":"gpt-realtime-2"}']),
  ],
  'POST /v1/realtime/calls/{call_id}/accept': [
    json({ type: 'realtime', model: 'gpt-realtime-2', instructions: 'Be brief.' }),
  ],
  'POST /v1/realtime/calls/{call_id}/refer': [json({ target_uri: 'tel:+14155550123' })],
  'POST /v1/realtime/calls/{call_id}/reject': [json({ status_code: 486 })],
  'POST /v1/realtime/client_secrets': [
    json({ expires_after: { anchor: 'created_at', seconds: 600 }, session: { type: 'realtime' } }),
  ],
  'POST /v1/realtime/sessions': [json({ model: 'gpt-realtime-2', modalities: ['audio', 'text'], voice: 'marin' })],
  'POST /v1/realtime/transcription_sessions': [
    json({ input_audio_transcription: { model: 'gpt-4o-transcribe', language: 'en' } }),
  ],
  'POST /v1/realtime/translations/client_secrets': [
    json({ session: { model: 'gpt-realtime-translate', audio: { output: { language: 'de' } } } }),
  ],
  'POST /v1/live/sessions': [
    json({ session: { type: 'live', model: 'gpt-live-1' }, transport: { type: 'webrtc', sdp: SDP } }),
  ],
  'POST /v1/live/sessions/{session_id}/accept': [json({ session: { type: 'live', model: 'gpt-live-1' } })],
  'POST /v1/live/sessions/{session_id}/fork': [json({ transport: { type: 'webrtc', sdp: SDP } })],
  'POST /v1/live/sessions/{session_id}/refer': [json({ target_uri: 'sip:desk@acme.example' })],
  'POST /v1/live/sessions/{session_id}/reject': [json({ status_code: 603 })],

  'POST /v1/files': [
    form(['purpose', 'batch'], ['file', 'requests.jsonl', LINES]),
    form(['file', 'all bytes.bin', BINARY], ['purpose', 'user_data']),
  ],
  'POST /v1/uploads': [
    json({ filename: 'big.jsonl', purpose: 'fine-tune', bytes: 2_147_483_648, mime_type: 'text/jsonl' }),
  ],
  'POST /v1/uploads/{upload_id}/parts': [form(['data', 'blob', BINARY])],
  'POST /v1/uploads/{upload_id}/complete': [
    json({ part_ids: ['part_1', 'part_2'], md5: '9e107d9d372bb6826bd81d3542a419d6' }),
  ],
  'POST /v1/batches': [
    json({ input_file_id: 'file-1a2b3c', endpoint: '/v1/responses', completion_window: '24h', metadata: { run: '7' } }),
  ],
  'POST /v1/vector_stores': [
    json({ name: 'Handbook', file_ids: ['file-1a2b3c'], expires_after: { anchor: 'last_active_at', days: 7 } }),
  ],
  'POST /v1/vector_stores/{vector_store_id}': [json({ name: 'Handbook 2', metadata: { owner: 'docs' } })],
  'POST /v1/vector_stores/{vector_store_id}/file_batches': [json({ file_ids: ['file-1a2b3c', 'file-4d5e6f'] })],
  'POST /v1/vector_stores/{vector_store_id}/files': [
    json({ file_id: 'file-1a2b3c', attributes: { year: 2026, draft: false } }),
  ],
  'POST /v1/vector_stores/{vector_store_id}/files/{file_id}': [json({ attributes: { draft: true } })],
  'POST /v1/vector_stores/{vector_store_id}/search': [
    json({ query: 'leave policy', max_num_results: 5, rewrite_query: true }),
  ],
  'POST /v1/containers': [
    json({ name: 'scratch', memory_limit: '4g', expires_after: { anchor: 'last_active_at', minutes: 20 } }),
  ],
  'POST /v1/containers/{container_id}/files': [
    json({ file_id: 'file-1a2b3c' }),
    form(['file', 'table.csv', 'a,b\r\n1,2\r\n']),
  ],

  'POST /v1/fine_tuning/jobs': [
    json({
      model: 'gpt-4.1-nano',
      training_file: 'file-1a2b3c',
      suffix: 'acme',
      seed: 42,
      method: { type: 'supervised' },
    }),
  ],
  'POST /v1/fine_tuning/alpha/graders/run': [json({ grader: GRADER, item: { a: 'x' }, model_sample: 'x' })],
  'POST /v1/fine_tuning/alpha/graders/validate': [json({ grader: GRADER })],
  'POST /v1/fine_tuning/checkpoints/{model}/permissions': [json({ project_ids: ['proj_1a2b3c'] })],
  'POST /v1/evals': [
    json({
      name: 'Sums',
      data_source_config: { type: 'custom', item_schema: { type: 'object' } },
      testing_criteria: [GRADER],
    }),
  ],
  'POST /v1/evals/{eval_id}': [json({ name: 'Sums 2' })],
  'POST /v1/evals/{eval_id}/runs': [
    json({ name: 'Nightly', data_source: { type: 'jsonl', source: { type: 'file_id', id: 'file-1a2b3c' } } }),
  ],
  'POST /v1/evals/{eval_id}/runs/{run_id}/cancel': [json({})],

  'POST /v1/assistants': [
    json({ model: 'gpt-4.1', name: 'Tutor', instructions: 'Solve it.', tools: [{ type: 'code_interpreter' }] }),
  ],
  'POST /v1/assistants/{assistant_id}': [json({ model: 'gpt-4.1-mini', name: 'Tutor 2' })],
  'POST /v1/threads': [json({ messages: USER('Solve 3x + 11 = 14') }), json({})],
  'POST /v1/threads/{thread_id}': [json({ metadata: { user: 'u-17' } })],
  'POST /v1/threads/runs': [json({ assistant_id: 'asst_1a2b3c', thread: { messages: USER('Hi') }, stream: true })],
  'POST /v1/threads/{thread_id}/messages': [json({ role: 'user', content: [{ type: 'text', text: 'Solve it.' }] })],
  'POST /v1/threads/{thread_id}/messages/{message_id}': [json({ metadata: { seen: 'yes' } })],
  'POST /v1/threads/{thread_id}/runs': [
    json({ assistant_id: 'asst_1a2b3c', instructions: 'Be kind.' }),
    json({ assistant_id: 'asst_1a2b3c', stream: true }),
  ],
  'POST /v1/threads/{thread_id}/runs/{run_id}': [json({ metadata: { tried: '2' } })],
  'POST /v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs': [
    json({ tool_outputs: [{ tool_call_id: 'call_1', output: '22 \u00b0C' }] }),
  ],

  'POST /v1/agents': [json({ model: 'gpt-6.2-sol', name: 'Triage', instructions: 'Sort the mail.' })],
  'POST /v1/agents/{agent_id}': [json({ model: 'gpt-6.1-sol' })],
  'POST /v1/agents/automations': [json({ name: 'Morning', trigger: AUTOMATION, agent: { id: 'agent_1a2b3c' } })],
  'POST /v1/agents/automations/{automation_id}': [json({ expression: '0 8 * * *' })],
  'POST /v1/agents/automations/{automation_id}/invocations': [json({})],
  'POST /v1/agents/automations/{automation_id}/pause': [json({})],
  'POST /v1/agents/automations/{automation_id}/resume': [json({})],
  'POST /v1/agents/environments': [json({ environment: { type: 'openai_hosted', env: { LANG: 'C.UTF-8' } } })],
  'POST /v1/agents/environments/templates': [
    json({ name: 'Python', setup_commands: [{ command: 'pip install -r req.txt' }] }),
  ],
  'POST /v1/agents/environments/templates/{template_id}': [json({ name: 'Python 3' })],
  'POST /v1/agents/environments/{environment_id}/files': [json({ file_id: 'file-1a2b3c', path: '/workspace/a b.csv' })],
  'POST /v1/agents/sessions': [
    json({ agent: { id: 'agent_1a2b3c' }, input: [{ type: 'message', role: 'user', content: 'Begin.' }] }),
    json({ agent: { id: 'agent_1a2b3c' }, input: 'Begin.', stream: true }),
  ],
  'POST /v1/agents/sessions/{session_id}': [json({ agent: { model: 'gpt-6.1-sol' }, metadata: { step: '2' } })],
  'POST /v1/agents/sessions/{session_id}/events': [json({ events: [{ type: 'agent.session.input.cancel' }] })],
  'POST /v1/vaults': [json({ name: 'Deploy', metadata: { env: 'test' } })],
  'POST /v1/vaults/{vault_id}': [json({ name: 'Deploy 2' })],
  'POST /v1/vaults/{vault_id}/credentials': [
    json({ name: 'Tracker', auth: { type: 'bearer_token', token: 'example-token' } }),
  ],
  'POST /v1/vaults/{vault_id}/credentials/{credential_id}': [json({ metadata: { rotated: 'yes' } })],
  'POST /v1/skills': [
    form(['files[]', 'skill/SKILL.md', '# Skill\n'], ['files[]', 'skill/run.py', 'print(1)\n']),
    json({ files: ['file-1a2b3c'] }),
  ],
  'POST /v1/skills/{skill_id}': [json({ default_version: '2' })],
  'POST /v1/skills/{skill_id}/versions': [
    form(['files[]', 'skill.zip', BINARY], ['default', 'true']),
    json({ files: ['file-1a2b3c'], default: true }),
  ],
  'POST /v1/chatkit/sessions': [
    json({ workflow: { id: 'wf_1a2b3c' }, user: 'u-17', expires_after: { anchor: 'created_at', seconds: 300 } }),
  ],
  'POST /v1/content_provenance_checks': [form(['file', 'picture.png', BINARY])],
  'POST /v1/webhook_endpoints': [
    json({ name: 'Batches', url: 'https://acme.example/hooks', event_types: ['batch.completed'] }),
  ],
  'POST /v1/webhook_endpoints/{webhook_endpoint_id}': [json({ event_types: ['batch.completed', 'batch.failed'] })],
  'POST /v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret': [
    json({ keep_old_secret_active_for_24_hours: true }),
  ],
  'POST /v1/webhook_endpoints/{webhook_endpoint_id}/test': [json({ event_type: 'batch.completed' })],

  'POST /v1/organization/admin_api_keys': [json({ name: 'Reports', expires_in_seconds: 86_400 })],
  'POST /v1/organization/certificates': [
    json({ name: 'Edge', certificate: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' }),
  ],
  'POST /v1/organization/certificates/{certificate_id}': [json({ name: 'Edge 2' })],
  'POST /v1/organization/certificates/activate': [json(CERTIFICATES)],
  'POST /v1/organization/certificates/deactivate': [json(CERTIFICATES)],
  'POST /v1/organization/data_retention': [json({ retention_type: 'zero_data_retention' })],
  'POST /v1/organization/external_keys': [
    json({
      type: 'aws',
      name: 'Main',
      kms_arn: 'arn:aws:kms:eu-1:1:key/1',
      role_arn: 'arn:aws:iam::1:role/r',
      external_id: 'x',
    }),
  ],
  'POST /v1/organization/external_keys/{external_key_id}/validate': [json({})],
  'POST /v1/organization/external_storage': [
    json({ project_id: 'proj_1a2b3c', provider: { type: 'aws', bucket: 'acme', role_arn: 'arn:aws:iam::1:role/s' } }),
  ],
  'POST /v1/organization/external_storage/{external_storage_id}/validate': [json({})],
  'POST /v1/organization/groups': [json({ name: 'Support' })],
  'POST /v1/organization/groups/{group_id}': [json({ name: 'Support EU' })],
  'POST /v1/organization/groups/{group_id}/roles': [json(ROLE)],
  'POST /v1/organization/groups/{group_id}/users': [json({ user_id: 'user_1a2b3c' })],
  'POST /v1/organization/invites': [
    json({ email: 'new@acme.example', role: 'reader', projects: [{ id: 'proj_1a2b3c', role: 'member' }] }),
  ],
  'POST /v1/organization/projects': [json({ name: 'Search', residency: 'eu' })],
  'POST /v1/organization/projects/{project_id}': [json({ name: 'Search 2' })],
  'POST /v1/organization/projects/{project_id}/api_keys/{api_key_id}': [
    json({ scopes: ['model.request'], expires_in_seconds: 3600 }),
  ],
  'POST /v1/organization/projects/{project_id}/certificates/activate': [json(CERTIFICATES)],
  'POST /v1/organization/projects/{project_id}/certificates/deactivate': [json(CERTIFICATES)],
  'POST /v1/organization/projects/{project_id}/data_retention': [json({ retention_type: 'organization_default' })],
  'POST /v1/organization/projects/{project_id}/groups': [json({ group_id: 'group_1a2b3c', role: 'member' })],
  'POST /v1/organization/projects/{project_id}/hosted_tool_permissions': [
    json({ web_search: { enabled: false }, mcp: { enabled: true } }),
  ],
  'POST /v1/organization/projects/{project_id}/model_permissions': [
    json({ mode: 'allow_list', model_ids: ['gpt-6-luna'] }),
  ],
  'POST /v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}': [json({ max_requests_per_1_minute: 500 })],
  'POST /v1/organization/projects/{project_id}/service_accounts': [
    json({ name: 'Robot', create_service_account_only: false }),
  ],
  'POST /v1/organization/projects/{project_id}/service_accounts/{service_account_id}': [
    json({ name: 'Robot 2', role: 'member' }),
  ],
  'POST /v1/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys': [
    json({ name: 'Key', scopes: ['api.all'] }),
  ],
  'POST /v1/organization/projects/{project_id}/service_tier_settings': [
    json({ default: 'standard', enabled_tiers: 'all' }),
  ],
  'POST /v1/organization/projects/{project_id}/spend_alerts': [json(ALERT)],
  'POST /v1/organization/projects/{project_id}/spend_alerts/{alert_id}': [json(ALERT)],
  'POST /v1/organization/projects/{project_id}/spend_limit': [
    json({ threshold_amount: 900, currency: 'USD', interval: 'month' }),
  ],
  'POST /v1/organization/projects/{project_id}/users': [json({ user_id: 'user_1a2b3c', role: 'member' })],
  'POST /v1/organization/projects/{project_id}/users/{user_id}': [json({ role: 'owner' })],
  'POST /v1/organization/roles': [
    json({ role_name: 'Auditor', permissions: ['api.audit_logs.read'], description: 'Reads' }),
  ],
  'POST /v1/organization/roles/{role_id}': [json({ description: 'Reads only' })],
  'POST /v1/organization/spend_alerts': [json(ALERT)],
  'POST /v1/organization/spend_alerts/{alert_id}': [json(ALERT)],
  'POST /v1/organization/spend_limit': [json({ threshold_amount: 10_000, currency: 'USD', interval: 'month' })],
  'POST /v1/organization/users/{user_id}': [json({ role: 'reader' })],
  'POST /v1/organization/users/{user_id}/roles': [json(ROLE)],
  'POST /v1/organization/workload_identity_providers': [
    json({ type: 'oidc', name: 'CI', issuer: 'https://ci.acme.example', audience: 'openai' }),
  ],
  'POST /v1/organization/workload_identity_providers/{provider_id}': [json({ enabled: false })],
  'POST /v1/organization/workload_identity_providers/{provider_id}/federation_rules': [
    json({
      project_id: 'proj_1a2b3c',
      service_account_id: 'svc_1a2b3c',
      attribute_matchers: { ref: 'refs/heads/main' },
    }),
  ],
  'POST /v1/organization/workload_identity_providers/{provider_id}/federation_rules/{rule_id}': [
    json({ enabled: true }),
  ],
  'POST /v1/projects/{project_id}/groups/{group_id}/roles': [json(ROLE)],
  'POST /v1/projects/{project_id}/roles': [json({ role_name: 'Tester', permissions: ['api.model.read'] })],
  'POST /v1/projects/{project_id}/roles/{role_id}': [json({ role_name: 'Tester 2' })],
  'POST /v1/projects/{project_id}/users/{user_id}/roles': [json(ROLE)],
};

/** Operations that post nothing at all. */
export const BODYLESS_POSTS: ReadonlySet<string> = new Set([
  'POST /v1/batches/{batch_id}/cancel',
  'POST /v1/chatkit/sessions/{session_id}/cancel',
  'POST /v1/evals/{eval_id}/runs/{run_id}',
  'POST /v1/fine_tuning/jobs/{job_id}/cancel',
  'POST /v1/fine_tuning/jobs/{job_id}/pause',
  'POST /v1/fine_tuning/jobs/{job_id}/resume',
  'POST /v1/live/sessions/{session_id}/hangup',
  'POST /v1/organization/projects/{project_id}/archive',
  'POST /v1/realtime/calls/{call_id}/hangup',
  'POST /v1/responses/{response_id}/cancel',
  'POST /v1/threads/{thread_id}/runs/{run_id}/cancel',
  'POST /v1/uploads/{upload_id}/cancel',
  'POST /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel',
]);
