// Settings of limits: a part of config.ts, and described with it.
import { z } from 'zod';

const most = z.number().int().positive().optional();

const limitsOfScope = z.strictObject({
  requestsPerMinute: most.describe(
    'Requests within any minute; above it 429. Without it unlimited, as with all below.',
  ),
  tokensPerMinute: most.describe(
    'Tokens within any minute: estimated when a request comes, corrected when its usage is known. A request that would pass it is 429.',
  ),
  concurrentExchanges: most.describe('Exchanges at once, streams and WebSockets among them; above it 429.'),
  concurrentStreams: most.describe('Streamed replies at once; a request for one more is 429.'),
  concurrentSockets: most.describe('WebSockets at once; one more is 429.'),
});

export const limitsSettings = z
  .strictObject({
    gateway: limitsOfScope.prefault({}).describe('Limits of all callers together.'),
    models: z
      .record(
        z.string().regex(/^[^*]*\*?$/, 'write the name of a model, or a pattern that ends in *, such as gpt-4o*'),
        limitsOfScope,
      )
      .default({})
      .describe(
        'Limits of all callers together, by model as requests name it, such as `gpt-4o: {requestsPerMinute: 500}`; the limits are those of `limits.gateway`. A name wins over patterns, which end in `*`, and a longer pattern over a shorter one; the models of one pattern share its limits.',
      ),
    badKeysPerMinute: z
      .number()
      .int()
      .min(0)
      .default(60)
      .describe(
        'Requests with a key that opens nothing, from one address (one /64 network of IPv6); above it they are answered 429 in place of 401. Good keys are never kept out. 0 is off.',
      ),
    onRedisAway: z
      .enum(['open', 'closed'])
      .default('open')
      .describe(
        'When `redisUrl` is set and Redis does not answer within 100 ms: `open` goes on with limits that each replica counts for itself, `closed` answers 503 to all that has limits.',
      ),
  })
  .prefault({})
  .describe('Limits that are not of a key, a team or a user: those have their own, by the admin API.');

export type LimitsSettings = z.output<typeof limitsSettings>;
export type LimitsOfScope = z.output<typeof limitsOfScope>;
