// Settings of what is paid for later, and of the webhooks that tell of it: a part of config.ts, and described with it.
import { z } from 'zod';

export const settlementSettings = z
  .strictObject({
    poll: z
      .boolean()
      .default(true)
      .describe(
        'Whether to look after work that goes on (batches, background responses, fine-tuning, storage) by itself. Without it, only what clients read and webhooks tell settles it.',
      ),
    firstLookSeconds: z
      .number()
      .min(0.02)
      .max(86_400)
      .default(15)
      .describe('Until work is looked at for the first time; twice as long after each look that finds it running.'),
    lookSecondsMax: z.number().min(0.02).max(86_400).default(900).describe('The longest between two looks.'),
    storageSeconds: z
      .number()
      .min(1)
      .max(86_400)
      .default(3600)
      .describe(
        'Between looks at how much a vector store holds. What is found counts for the time since the last look.',
      ),
  })
  .prefault({});

/** @param secretReference how the settings refer to a secret */
export function webhookSettings<R extends z.ZodType>(secretReference: R) {
  return z
    .strictObject({
      openaiSecret: secretReference
        .optional()
        .describe(
          'The signing secret (`whsec_...`) of a webhook endpoint in the OpenAI project, by reference. With it, `POST /webhooks/openai` on the admin listener takes its events; without it, none.',
        ),
    })
    .prefault({});
}
