// What an operator made before the gateway started: teams, keys and budgets in its stores, and how these stand after it stopped.
import { SYSTEM } from '../../src/domain/audit.ts';
import { type Clock, systemClock } from '../../src/domain/clock.ts';
import type { Caller } from '../../src/domain/key.ts';
import { type KeyAndToken, type Keys, type NewKey, openKeys } from '../../src/keys/keys.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { ENDPOINTS } from '../../src/openai/endpoint-rows.ts';
import type { Store } from '../../src/store/store.ts';
import { aCost, open, run, told } from '../support/ledger.ts';

/** No model costs less: whoever has spent it has nothing left. */
const LEAST = 1n;

export interface Prepared {
  readonly keys: Keys;
  readonly ledger: Ledger;
  readonly store: Store;
  key(key: NewKey): Promise<KeyAndToken>;
  /** A budget of this key of which nothing is left. */
  exhaust(key: KeyAndToken): Promise<void>;
}

/** Works on the stores of a gateway that does not run, or of one whose database is shared. */
export async function onStores<T>(
  dataDir: string,
  work: (prepared: Prepared) => Promise<T>,
  { clock = systemClock, databaseUrl }: { readonly clock?: Clock; readonly databaseUrl?: string | undefined } = {},
): Promise<T> {
  const opened = await open(dataDir, clock, {}, databaseUrl);
  const keys = await openKeys(opened.store, ENDPOINTS, clock, null);
  try {
    return await work({
      keys,
      ledger: opened.ledger,
      store: opened.store,
      key: (key) => keys.create(key, SYSTEM),
      async exhaust({ key }) {
        await opened.ledger.budgets.create({ scope: 'key', keyId: key.id, limitMoney: LEAST });
        const caller: Caller = { key, team: (await keys.teams.find(key.teamId))!, user: null };
        await run(opened, told(clock.now(), caller), LEAST, aCost(LEAST));
      },
    });
  } finally {
    keys.close();
    await opened.close();
  }
}
