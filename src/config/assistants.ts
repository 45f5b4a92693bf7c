// Settings of the Assistants API: a part of config.ts, and described with it.
import { z } from 'zod';

const template = z
  .strictObject({
    model: z.string().min(1),
    name: z.string().max(256).optional(),
    description: z.string().max(512).optional(),
    instructions: z.string().max(256_000).optional(),
    tools: z
      .array(z.looseObject({ type: z.string() }))
      .max(128)
      .optional(),
    toolResources: z.record(z.string(), z.unknown()).optional(),
    metadata: z.record(z.string(), z.string()).optional(),
    temperature: z.number().min(0).max(2).optional(),
    topP: z.number().min(0).max(1).optional(),
  })
  .describe('An assistant as its creation takes it, in camelCase.');

export const assistantsSettings = z
  .strictObject({
    mode: z
      .enum(['emulate', 'relay'])
      .default('emulate')
      .describe(
        '`emulate`: this gateway answers `/assistants` and `/threads` itself. `relay`: they go upstream as anything else does.',
      ),
    requireBetaHeader: z
      .boolean()
      .default(false)
      .describe(
        'Answer 400 `invalid_beta` without `OpenAI-Beta: assistants=v2`, as OpenAI did. Otherwise a missing header counts as v2.',
      ),
    runTtlSeconds: z
      .number()
      .int()
      .min(1)
      .max(86_400)
      .default(600)
      .describe('How long a run may take, from its creation; then it is `expired`.'),
    extendOnSubmit: z
      .boolean()
      .default(false)
      .describe('Whether handing in tool outputs gives a run its whole time again. OpenAI did not.'),
    initialMessagesMax: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .default(32)
      .describe('Messages that the creation of a thread takes; above it 400.'),
    queuedRunsMax: z
      .number()
      .int()
      .positive()
      .default(10_000)
      .describe('Runs that wait for a worker, over all teams; above it creating one answers 429.'),
    engine: z
      .enum(['auto', 'responses', 'chat'])
      .default('auto')
      .describe(
        'How runs call their model: over `/responses`, or over `/chat/completions` for upstreams that know no other way. `auto` begins with the first and remembers for an hour, model by model, what the upstream does not know.',
      ),
    runsMax: z
      .number()
      .int()
      .positive()
      .default(1000)
      .describe('Runs that this process executes at once; more stay `queued`, and may expire there.'),
    runsPerTeamMax: z.number().int().min(0).default(0).describe('The same for the runs of one team. 0 is no limit.'),
    upstreamRetriesMax: z
      .number()
      .int()
      .min(0)
      .max(20)
      .default(4)
      .describe(
        'How often a turn asks again after a 429, a 5xx or a broken connection; then its run fails. A `retry-after` is believed, as long as the run lives.',
      ),
    listThreads: z
      .boolean()
      .default(false)
      .describe(
        'Whether `GET /threads` lists the team’s threads. OpenAI answered it with 401, which is the default here.',
      ),
    checkModels: z
      .boolean()
      .default(true)
      .describe(
        'Answer 400 `model_not_found` for a model that the upstream’s `/models` does not list, as OpenAI did. Where there is no list to be had, or with `false`, the run fails later, in the upstream’s words.',
      ),
    unlistedModels: z
      .array(z.string().min(1))
      .default([])
      .describe(
        'Models that the upstream serves and does not list: exact names, or patterns that end in `*`. Those that begin with `ft:` always count as such.',
      ),
    modelAliases: z
      .record(z.string().min(1), z.string().min(1))
      .default({})
      .describe(
        'From the model that an assistant names to the one that is called: exact names, or patterns that end in `*`. Objects keep showing the name they were given.',
      ),
    templates: z
      .record(z.string().regex(/^asst_.+/, 'write the id of an assistant, such as asst_abc123'), template)
      .default({})
      .describe('Assistants whose ids stand in deployed code: made for a team when it first uses the id.'),
  })
  .prefault({});

export type AssistantsSettings = z.output<typeof assistantsSettings>;
