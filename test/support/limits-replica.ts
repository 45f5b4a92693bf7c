// A replica that takes places and is then killed: `node limits-replica.ts URL N` takes N places, says so, and waits for its end.
import { resolveConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/domain/clock.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { aCaller } from './callers.ts';

const [url, places] = process.argv.slice(2);
const config = resolveConfig({ redisUrl: 'env:REDIS_URL' }, { REDIS_URL: url });
const limiter = await openLimits(config, systemClock, openLog('error'));
const caller = aCaller({ key: { concurrentExchanges: 5 } });
for (let i = 0; i < Number(places); i++) await limiter.acquire({ caller, model: null, kind: 'exchange', tokens: 0 });
process.stdout.write(`${limiter.counting()}\n`);
setInterval(() => {}, 1000);
