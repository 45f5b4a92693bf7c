// Who changed what, in the words of the contract.
import { z } from 'zod';

import { cursorIs, filter, moment, page, pageOf, span } from './fields.ts';
import type { Route } from './route.ts';

const KINDS = ['team', 'key', 'user', 'budget', 'ledger', 'prices'] as const;

export const auditSchema = z.object({
  seq: z.number().describe('From 1 on, without gaps.'),
  at: moment,
  actor: z.string().describe('A user’s id; `owner` holds the operator’s token, `system` is the gateway itself.'),
  address: z.string().nullable().describe('Where the request came from.'),
  action: z.string(),
  kind: z.string(),
  id: z.string().describe('Of what was changed.'),
  before: z.string().nullable().describe('SHA-256 of what was; null where there was nothing.'),
  after: z.string().nullable(),
  previous: z.string().describe('The hash of the row before.'),
  hash: z.string(),
});

export const auditRoutes = {
  listAudit: {
    method: 'GET',
    path: '/admin/v1/audit',
    summary: 'Changes of teams, keys, users and budgets, newest first.',
    access: 'see',
    query: z.strictObject({
      ...page,
      cursor: cursorIs(/^\d{1,15}$/),
      kind: z.enum(KINDS, `write one of ${KINDS.join(', ')}`).optional(),
      id: filter('what was changed by its id'),
      actor: filter('a user by its id, or owner, or system'),
      ...span,
    }),
    status: 200,
    answer: pageOf(auditSchema),
  },
  verifyAudit: {
    method: 'GET',
    path: '/admin/v1/audit/verify',
    summary: 'Walks the whole chain, and names each row that was edited, deleted, moved or added.',
    access: 'see',
    status: 200,
    answer: z.object({
      whole: z.boolean(),
      rows: z.number().describe('How many were checked.'),
      head: z
        .object({ seq: z.number(), hash: z.string() })
        .describe('Written down elsewhere, it tells later whether the whole chain was made anew.'),
      faults: z
        .array(z.object({ seq: z.number(), what: z.string(), message: z.string() }))
        .describe('The first hundred.'),
    }),
  },
} as const satisfies Record<string, Route>;
