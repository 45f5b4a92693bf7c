// Every setting there is: its name, unit, default and what happens at its limit. docs/configuration.md is made from here.
import { z } from 'zod';

import { assistantsSettings } from './assistants.ts';
import { limitsSettings } from './limits.ts';
import { pricesSettings } from './prices.ts';
import { reconciliationSettings } from './reconciliation.ts';
import { settlementSettings, webhookSettings } from './settlement.ts';

/** `HOST:PORT`; port 0 picks a free one. */
const listen = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'write HOST:PORT, such as 127.0.0.1:4000')
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, 'a port is at most 65535');
export const DEFAULT_DATA_DIR = './data';
const seconds = z
  .number()
  .min(0)
  .max(86_400 * 365);
const secretReference = z.string().regex(/^(env|file):.+/, 'write env:NAME or file:/path, never the secret itself');

const credential = z.strictObject({
  name: z.string().min(1).describe('How logs and records call this credential.'),
  apiKey: secretReference.describe('The real key, by reference: `env:NAME` or `file:/path`.'),
  weight: z.number().positive().default(1).describe('Its share of the exchanges, relative to the others.'),
  organization: z
    .string()
    .min(1)
    .optional()
    .describe('Sent as `OpenAI-Organization`; without it the client’s own passes.'),
  project: z.string().min(1).optional().describe('Sent as `OpenAI-Project`; without it the client’s own passes.'),
});

export const settingsSchema = z.strictObject({
  listen: listen.default('0.0.0.0:4000').describe('Where clients reach the API: HOST:PORT.'),
  adminListen: listen.default('127.0.0.1:4001').describe('Where the admin API is reached: HOST:PORT. Never expose it.'),
  adminToken: secretReference
    .optional()
    .describe(
      'Opens the admin API, by reference; at least 32 characters. Without it one is made and kept in the data dir.',
    ),
  dataDir: z.string().min(1).default(DEFAULT_DATA_DIR).describe('Where the databases live. One process at a time.'),
  databaseUrl: secretReference
    .optional()
    .describe(
      'PostgreSQL for what replicas share (teams, keys, assistants), by reference. Without it that is kept in the data dir. Needs PostgreSQL 15 or newer.',
    ),
  redisUrl: secretReference
    .optional()
    .describe(
      'Redis that counts limits for all replicas together, by reference: `redis://`, `rediss://` or `unix:/path`. Without it each process counts for itself. One server of Redis 7 or newer, or an address that leads to its primary; a cluster needs a proxy in front of it.',
    ),
  durability: z
    .enum(['group', 'strict'])
    .default('group')
    .describe(
      '`group`: a record survives the death of the process at once and a power failure after at most 50 ms. `strict`: each waits for the disk.',
    ),
  drainSeconds: seconds
    .default(120)
    .describe('How long running exchanges may finish after SIGTERM; then they are cut.'),
  onDisconnect: z
    .enum(['abort', 'drain'])
    .default('abort')
    .describe(
      'When a client leaves early: `abort` the upstream within a second, or `drain` it to its end for the true usage.',
    ),
  upstreamIdentity: z
    .enum(['pass', 'hide'])
    .default('pass')
    .describe('Whether clients see `openai-organization`, `openai-project` and `x-ratelimit-*` of replies.'),
  upstream: z
    .strictObject({
      baseUrl: z.string().default('https://api.openai.com/v1').describe('The upstream, with its `/v1`.'),
      allowInsecure: z
        .boolean()
        .default(false)
        .describe(
          'Allow plain http to an upstream that is not on this machine. The credential then crosses the network in clear.',
        ),
      credentials: z
        .array(credential)
        .default([])
        .describe('The real keys. Without any, `OPENAI_API_KEY` is the one credential.'),
      restSeconds: seconds
        .default(30)
        .describe(
          'How long a credential rests after a 401, 403 or 429 (a 429 that names its own time is believed), while another one is awake.',
        ),
      connectSeconds: seconds.default(10).describe('Until the connection stands, TLS included; then 504.'),
      headersSeconds: seconds
        .default(600)
        .describe('Until the reply begins, counted from the last byte of the request; then 504. 0 is off.'),
      idleSeconds: seconds
        .default(600)
        .describe('Without a byte in either direction; then the exchange is cut. 0 is off.'),
      totalSeconds: seconds.default(0).describe('For an exchange as a whole; then it is cut. 0 is off.'),
      keepAliveSeconds: z
        .number()
        .min(0.1)
        .max(600)
        .default(4)
        .describe(
          'How long an unused connection to the upstream is kept. Must be shorter than the upstream keeps it; its `Keep-Alive` hint is honoured.',
        ),
    })
    .prefault({}),
  http: z
    .strictObject({
      headerSeconds: seconds.default(60).describe('How long a client may take to send a header block; then 408.'),
      keepAliveSeconds: seconds
        .default(620)
        .describe('How long an unused client connection is kept: longer than a load balancer keeps it.'),
      bodyBytesMax: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe('Largest request body in bytes; above it 413. 0 is no limit.'),
      connectionsMax: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe('Client connections at once; more wait to be accepted by the system. 0 is no limit.'),
      exchangesMax: z
        .number()
        .int()
        .positive()
        .default(10_000)
        .describe('Exchanges at once; above it 503 `overloaded`.'),
      keptBodiesBytesMax: z
        .number()
        .int()
        .positive()
        .default(268_435_456)
        .describe(
          'Bytes of request bodies kept in memory at once, of those that are read whole before they are let through: where a key may not call all models, or has a hard budget, and what this gateway answers itself. Above it 503 `overloaded`. All other bodies stream by.',
        ),
    })
    .prefault({}),
  drain: z
    .strictObject({
      seconds: seconds.default(120).describe('Longest reading on after a client left.'),
      bytesMax: z.number().int().positive().default(33_554_432).describe('Most bytes read on for one exchange.'),
      exchangesMax: z
        .number()
        .int()
        .positive()
        .default(256)
        .describe('Exchanges read on at once; one more is aborted.'),
    })
    .prefault({})
    .describe('Bounds of `onDisconnect: drain`.'),
  webSocket: z
    .strictObject({
      messageBytesMax: z
        .number()
        .int()
        .min(0)
        .default(134_217_728)
        .describe('Largest message in bytes, either way; above it close 1009. A message is held whole. 0 is no limit.'),
      idleSeconds: seconds.default(3600).describe('Without a message in either direction; then close 1001. 0 is off.'),
      pingSeconds: seconds
        .default(20)
        .describe('Between our own pings; a side that answers none for three of them is closed. 0 is off.'),
    })
    .prefault({}),
  cors: z
    .strictObject({
      origins: z
        .array(z.string().regex(/^https?:\/\/[^/\s]+$/, 'write an exact origin, such as https://app.example.com'))
        .default([])
        .describe(
          'Browser origins that may call the API, exact. Empty: preflights are refused, and no CORS header is added.',
        ),
    })
    .prefault({}),
  limits: limitsSettings,
  prices: pricesSettings,
  ledger: z
    .strictObject({
      whenStoreIsAway: z
        .enum(['closed', 'open'])
        .default('closed')
        .describe(
          'With `databaseUrl`, when PostgreSQL does not answer: `closed` answers 503 to all that a hard budget binds, `open` lets it through; what it cost is charged when the database is back. What only soft budgets count goes on either way.',
        ),
    })
    .prefault({}),
  assistants: assistantsSettings,
  compatibility: z
    .strictObject({
      litellm: z
        .enum(['off', 'on'], 'write on or off')
        .default('off')
        .describe(
          '`on`: replies tell `x-litellm-call-id` and, where the cost is known in time, `x-litellm-response-cost`, `x-litellm-key-spend` and `x-litellm-key-max-budget`; the request headers `x-litellm-tags` and `tags` give tags.',
        ),
    })
    .prefault({})
    .describe('What clients of another gateway rely on.'),
  settlement: settlementSettings,
  webhooks: webhookSettings(secretReference),
  reconciliation: reconciliationSettings(secretReference),
  logging: z
    .strictObject({
      stdout: z.boolean().default(false).describe('Write each record as a line of JSON to stdout.'),
      file: z.string().min(1).optional().describe('Append each record as a line of JSON to this file.'),
      retentionDays: z
        .number()
        .min(0)
        .default(30)
        .describe('How long records are kept in the data dir. 0 keeps them for ever.'),
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('What of the gateway’s own doings goes to stderr.'),
    })
    .prefault({}),
});

/** `throughway.yaml` as it may be written: everything optional. */
export type Settings = z.input<typeof settingsSchema>;
/** All settings with their defaults filled in; secrets still references. */
export type ResolvedSettings = z.output<typeof settingsSchema>;
