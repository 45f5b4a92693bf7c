// An upstream that keeps its own books: it answers chats and embeddings with the usage that they ask for, adds up what it would bill at
// prices of its own, and tells it at /v1/organization/* to whoever has the admin key. Nothing in it knows the gateway's prices.
import { type Recorder, type RecordedRequest, type ScriptedReply, startRecorder } from './recorder.ts';
import { valueOf } from './wire.ts';

export const ADMIN_KEY = 'sk-admin-canary-91b7c2d4e6f80a35';
const DAY_SECONDS = 86_400;

/** Dollars for a million tokens, as millionths of them for one: whole pico-dollars. */
const PRICES: Readonly<Record<string, readonly [input: bigint, cached: bigint, output: bigint]>> = {
  'gpt-4o': [2_500_000n, 1_250_000n, 10_000_000n],
  'gpt-4o-mini': [150_000n, 75_000n, 600_000n],
  'text-embedding-3-small': [20_000n, 0n, 0n],
};

interface Used {
  readonly day: number;
  readonly hour: number;
  readonly model: string;
  readonly tier: string;
  requests: number;
  input: bigint;
  cached: bigint;
  output: bigint;
}

interface Billed {
  readonly day: number;
  readonly item: string;
  pico: bigint;
}

export interface Organization {
  readonly url: string;
  readonly recorder: Recorder;
  /** Seconds since 1970 of what is used from now on. */
  now: () => number;
  /** Bills what nobody asked this gateway for. */
  bill(item: string, pico: bigint, daysAgo?: number): void;
  use(
    model: string,
    tokens: { readonly input: number; readonly output: number },
    daysAgo?: number,
    tier?: string,
  ): void;
  /** Of what it counted of a model so far, so many tokens are not told. */
  hide(model: string, input: number): void;
  /** What it bills in the end for what it billed so far, such as 93 of 100. */
  discount: readonly [by: bigint, of: bigint];
  /** Of models, of what is used from now on. */
  readonly prices: Record<string, readonly [bigint, bigint, bigint]>;
  /** In place of an answer to the admin key. */
  outage: ScriptedReply | null;
  /** In place of a reply that tells its usage; nothing is counted then. */
  silence: ScriptedReply | null;
  totalPico(): bigint;
  readonly project: string;
  close(): Promise<void>;
}

/** Asks for a reply that used as many tokens. */
export function chatBody(model: string, input: number, cached: number, output: number, more: object = {}): string {
  return JSON.stringify({ model, messages: [{ role: 'user', content: `${input} ${cached} ${output}` }], ...more });
}

export async function startOrganization(): Promise<Organization> {
  const used: Used[] = [];
  const billed: Billed[] = [];
  const dayOf = (daysAgo: number) => Math.floor(organization.now() / DAY_SECONDS) * DAY_SECONDS - daysAgo * DAY_SECONDS;
  const bill = (item: string, pico: bigint, daysAgo = 0) => {
    const day = dayOf(daysAgo);
    const row = billed.find((each) => each.day === day && each.item === item);
    if (row === undefined) billed.push({ day, item, pico });
    else row.pico += pico;
  };
  const use = (
    model: string,
    { input, cached, output }: { input: number; cached: number; output: number },
    daysAgo = 0,
    tier = 'default',
  ) => {
    const day = dayOf(daysAgo);
    const hour = day + (Math.floor(organization.now() / 3600) * 3600 - dayOf(0));
    let row = used.find((each) => each.hour === hour && each.model === model && each.tier === tier);
    if (row === undefined)
      used.push((row = { day, hour, model, tier, requests: 0, input: 0n, cached: 0n, output: 0n }));
    row.requests++;
    row.input += BigInt(input);
    row.cached += BigInt(cached);
    row.output += BigInt(output);
    const [perInput, perCached, perOutput] = organization.prices[model] ?? [0n, 0n, 0n];
    bill(`${model}, input`, BigInt(input - cached) * perInput, daysAgo);
    if (cached > 0) bill(`${model}, cached input`, BigInt(cached) * perCached, daysAgo);
    if (output > 0) bill(`${model}, output`, BigInt(output) * perOutput, daysAgo);
  };

  async function answer(request: RecordedRequest): Promise<ScriptedReply | void> {
    const [path = '', query = ''] = request.target.split('?');
    if (path.startsWith('/v1/organization/')) return toAdmin(request, path, new URLSearchParams(query));
    const sent = await request.whole();
    if (organization.silence !== null) return organization.silence;
    const body = JSON.parse(sent.toString()) as {
      model: string;
      stream?: boolean;
      background?: boolean;
      input?: string;
      messages?: { content: string }[];
    };
    if (path === '/v1/embeddings') {
      const input = Number(body.input);
      use(body.model, { input, cached: 0, output: 0 });
      const usage = { prompt_tokens: input, total_tokens: input };
      return json({ object: 'list', data: [], model: body.model, usage });
    }
    if (body.background === true)
      return json({ id: 'resp_1', object: 'response', status: 'queued', model: body.model, usage: null });
    const [input = 0, cached = 0, output = 0] = body.messages![0]!.content.split(' ').map(Number);
    use(body.model, { input, cached, output });
    const usage = {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: input + output,
      prompt_tokens_details: { cached_tokens: cached },
    };
    const reply = { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: body.model };
    if (body.stream !== true) return json({ ...reply, choices: [], usage });
    const chunk = (more: object) =>
      `data: ${JSON.stringify({ ...reply, object: 'chat.completion.chunk', ...more })}\n\n`;
    const text = chunk({ choices: [{ index: 0, delta: { content: 'hi' } }] }) + chunk({ choices: [], usage });
    return { headers: [['Content-Type', 'text/event-stream']], body: `${text}data: [DONE]\n\n` };
  }

  function toAdmin(request: RecordedRequest, path: string, query: URLSearchParams): ScriptedReply {
    if (organization.outage !== null) return organization.outage;
    if (valueOf(request.headers, 'authorization') !== `Bearer ${ADMIN_KEY}`) {
      const shown = valueOf(request.headers, 'authorization');
      return { ...json({ error: { message: `Incorrect API key provided: ${shown}` } }), status: 401 };
    }
    const isHourly = query.get('bucket_width') === '1h';
    const width = isHourly ? 3600 : DAY_SECONDS;
    const days = bucketsOf(query, width);
    const limit = Number(query.get('limit') ?? 7);
    const first = Number(query.get('page')?.slice('page_'.length) ?? 0);
    const results = path === '/v1/organization/costs' ? costsOf : usageOf(path, isHourly);
    const data = days.slice(first, first + limit).map((day) => ({
      object: 'bucket',
      start_time: day,
      end_time: day + width,
      results: results(day),
    }));
    const hasMore = first + limit < days.length;
    return json({ object: 'page', data, has_more: hasMore, next_page: hasMore ? `page_${first + limit}` : null });
  }

  const costsOf = (day: number) =>
    billed
      .filter((row) => row.day === day)
      .map(({ item, pico }) => ({
        object: 'organization.costs.result',
        amount: { value: dollars((pico * organization.discount[0]) / organization.discount[1]), currency: 'usd' },
        line_item: item,
        project_id: organization.project,
        api_key_id: 'key_upstream',
        quantity: null,
        quantity_unit: null,
      }));

  const usageOf = (path: string, isHourly: boolean) => (begin: number) =>
    used
      .filter(
        (row) =>
          (isHourly ? row.hour : row.day) === begin &&
          path.endsWith(row.model.includes('embedding') ? 'embeddings' : 'completions'),
      )
      .map(({ model, tier, requests, input, cached, output }) => ({
        object: 'organization.usage.result',
        input_tokens: Number(input),
        input_cached_tokens: Number(cached),
        output_tokens: Number(output),
        num_model_requests: requests,
        project_id: organization.project,
        api_key_id: 'key_upstream',
        model,
        batch: false,
        service_tier: tier,
      }));

  const recorder = await startRecorder(answer);
  const organization: Organization = {
    url: `${recorder.url}/v1`,
    recorder,
    now: () => Date.now() / 1000,
    bill,
    use: (model, { input, output }, daysAgo, tier) => use(model, { input, cached: 0, output }, daysAgo, tier),
    hide(model, input) {
      const row = used.find((each) => each.model === model);
      if (row === undefined) throw new Error(`nothing of ${model} was used`);
      row.input -= BigInt(input);
      bill(`${model}, input`, -BigInt(input) * (organization.prices[model]?.[0] ?? 0n));
    },
    discount: [1n, 1n],
    prices: { ...PRICES },
    outage: null,
    silence: null,
    totalPico: () =>
      billed.reduce((sum, { pico }) => sum + (pico * organization.discount[0]) / organization.discount[1], 0n),
    project: 'proj_gateway',
    close: () => recorder.close(),
  };
  return organization;
}

function bucketsOf(query: URLSearchParams, width: number): number[] {
  const [from, to] = [Number(query.get('start_time')), Number(query.get('end_time'))];
  const days: number[] = [];
  for (let day = from; day < to; day += width) days.push(day);
  return days;
}

/** As a JSON number tells it: up to twelve digits behind the point. */
function dollars(pico: bigint): number {
  const text = pico.toString().padStart(13, '0');
  return Number(`${text.slice(0, -12)}.${text.slice(-12)}`);
}

function json(body: unknown): ScriptedReply {
  return { headers: [['Content-Type', 'application/json']], body: JSON.stringify(body) };
}
