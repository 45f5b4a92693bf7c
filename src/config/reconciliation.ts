// Settings of reconciliation: a part of config.ts, and described with it.
import { z } from 'zod';

/** @param secretReference how the settings refer to a secret */
export function reconciliationSettings<R extends z.ZodType>(secretReference: R) {
  return z
    .strictObject({
      adminKey: secretReference
        .optional()
        .describe(
          'An admin key of the OpenAI organization (`sk-admin-...`), by reference. With it the ledger is compared with what OpenAI bills. It is used for that alone, and only reads.',
        ),
      everyHours: z
        .number()
        .min(0)
        .max(720)
        .default(24)
        .describe('Between two comparisons of the last three whole days (UTC). 0 compares only when somebody asks.'),
      usageEveryHours: z
        .number()
        .min(0)
        .max(720)
        .default(1)
        .describe(
          'Between two looks at the tokens that OpenAI counted of each model in 24 hours that ended two hours ago: traffic that goes past the gateway shows there first. 0 never looks.',
        ),
      thresholdPercent: z
        .number()
        .positive()
        .max(100)
        .default(1)
        .describe('Of what OpenAI bills: a difference above it is an alert, in the log and in the metrics.'),
      thresholdUsd: z
        .number()
        .positive()
        .default(1)
        .describe('The same in US dollars: above either of them is an alert.'),
      projects: z
        .array(z.string().min(1))
        .default([])
        .describe(
          'Ids of the OpenAI projects that only this gateway uses, such as `proj_abc`: others are left out. Empty: all of the organization.',
        ),
    })
    .prefault({})
    .describe('Whether what OpenAI bills is what the ledger says. docs/spend.md tells how to read the difference.');
}
