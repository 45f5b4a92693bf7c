// Settings of prices: a part of config.ts, and described with it. What they hold is checked where price books are read.
import { z } from 'zod';

export const pricesSettings = z
  .strictObject({
    overrides: z
      .unknown()
      .optional()
      .describe(
        'Prices that go before those of OpenAI’s list: a price book, written here or in a file that is named here. docs/prices.md has its format.',
      )
      .meta({ type: 'object' }),
    contracts: z
      .unknown()
      .optional()
      .describe(
        'Multipliers agreed for teams and keys, such as `[{team: web, factor: "0.93"}]`. `team` is an id or a name, `key` an id.',
      )
      .meta({ type: 'array' }),
  })
  .prefault({})
  .describe('Prices of an operator’s own, beside those that come with each version.');
