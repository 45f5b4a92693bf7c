// What the upstream bills beside what the ledger says, in the words of the contract.
import { z } from 'zod';

import { dayOrTime, moment, shownUsd, span } from './fields.ts';
import type { Route } from './route.ts';

const row = z.object({
  day: z.string().describe('UTC.'),
  subject: z.string().describe('A model without its snapshot, or a tool.'),
  ledger_usd: shownUsd.describe('Measured and estimated together.'),
  estimated_usd: shownUsd,
  upstream_usd: shownUsd,
  drift_usd: shownUsd.describe('What the upstream bills more.'),
  drift_percent: z.number().nullable().describe('Of what the upstream bills; null where it bills nothing.'),
  ledger_requests: z.number(),
  upstream_requests: z.number(),
  ledger_tokens: z.number(),
  upstream_tokens: z.number().nullable().describe('Null where the upstream does not tell.'),
  unpriced: z.number(),
  pending: z.number(),
  line_items: z.array(
    z.object({
      line_item: z.string().describe('As the upstream spells it.'),
      upstream_usd: shownUsd,
      ledger_usd: shownUsd.nullable().describe('Of the same part; null where the ledger tells none of that name.'),
    }),
  ),
  causes: z.array(
    z.object({
      code: z.string(),
      why: z.string(),
      factor: z.string().nullable().describe('By which prices here would give what is billed.'),
    }),
  ),
});

const comparison = z.object({
  from: moment,
  to: moment,
  at: moment,
  ledger_usd: shownUsd,
  upstream_usd: shownUsd,
  drift_usd: shownUsd,
  drift_percent: z.number().nullable(),
  alert: z.boolean().describe('Above `reconciliation.thresholdPercent` or `reconciliation.thresholdUsd`.'),
  suggested_factor: z.string().nullable().describe('For `prices.contracts`, where everything differs by one factor.'),
  rows: z.array(row),
  projects: z.array(z.object({ project_id: z.string().nullable(), compared: z.boolean(), upstream_usd: shownUsd })),
  untold: z.array(z.string()).describe('Paths that the upstream would not tell of: causes are less sure then.'),
});

export const reconciliationRoutes = {
  reconcile: {
    method: 'GET',
    path: '/admin/v1/reconciliation',
    summary:
      'What the upstream bills beside what the ledger says, by day and model or tool. Needs `reconciliation.adminKey`.',
    access: 'see',
    query: z.strictObject({
      from: span.from.describe('A day, inclusive; without it, seven days before `to`.'),
      to: span.to.describe('A day, exclusive; without it, today. Days are UTC and whole, at most 31 of them.'),
    }),
    status: 200,
    answer: comparison,
  },
  adjustToBill: {
    method: 'POST',
    path: '/admin/v1/reconciliation/adjustments',
    summary:
      'Compares, and enters what the upstream billed otherwise, on nobody’s account: days that are over for three days, and nothing that is pending, moved to another day or rounded. No key’s history changes.',
    access: 'own',
    body: z.strictObject({
      from: dayOrTime.unwrap().describe('A day, inclusive.'),
      to: dayOrTime.unwrap().describe('A day, exclusive; at most 31 of them.'),
    }),
    status: 200,
    answer: z.object({ entered: z.number(), compared: comparison.describe('As it was before.') }),
  },
} as const satisfies Record<string, Route>;
