// A replica for tests that need several processes on one store: `node ledger-replica.ts URL DATA_DIR BUDGET_KEY EXCHANGES`. Prints
// how many exchanges were let through, after all it settled is entered.
import { setTimeout as delay } from 'node:timers/promises';

import { systemClock } from '../../src/domain/clock.ts';
import { aCaller, aCost, ask, intent, open, record, told, writeIntent, writeRecord } from './ledger.ts';

const [url, dataDir, name, exchanges, mode] = process.argv.slice(2);
const opened = await open(dataDir!, systemClock, {}, url);
const { ledger, store } = opened;
const caller = aCaller(name);
let admitted = 0;
await Promise.all(
  Array.from({ length: Number(exchanges) }, async (_, i) => {
    await delay(i % 7);
    const one = told(systemClock.now(), caller);
    const held = await ledger.hold(ask(one, 10n));
    if (held.kind === 'refused') return;
    admitted++;
    await writeIntent(store.spool, intent(one, held.hold));
    if (mode === 'die') return;
    // Every third costs what was set aside, every third nothing is known of, and every third fails for nothing.
    const cost = [aCost(10n), aCost(null), aCost(10n, 'estimated')][i % 3]!;
    ledger.charge(held.hold, { cost, tokens: 10 });
    await writeRecord(store.spool, record(one, cost));
  }),
);
process.stdout.write(`${JSON.stringify({ admitted })}\n`);
if (mode === 'die') process.kill(process.pid, 'SIGKILL');
await opened.close();
