// One small JSON exchange: what it costs at saturation, and what time it adds at a steady rate.
import { chatRequest } from './fixtures.ts';
import { load } from './native.ts';
import type { LoadResult } from './native.ts';
import { inFreshRounds, inTurns, withContestants } from './side-by-side.ts';
import type { Bench, Contestant, Row, Section } from './side-by-side.ts';
import { median } from './statistics.ts';

const CONNECTIONS = 64;
// Not shortened by a quicker pace: V8 goes on compiling for some 30,000 exchanges, and would be measured with the gateway.
const WARM_SECONDS = 6;
export const RATES = [500, 1000] as const;

const cpuUs = (result: LoadResult): number => result.cpu_us / result.requests;
const perSecond = (result: LoadResult): number => result.requests / result.seconds;

/** Closed loop: every connection sends again as soon as it is answered. */
export async function measureSaturation(bench: Bench): Promise<Section> {
  const results = await inFreshRounds(bench, 'json, closed loop', (contestant) =>
    load('closed', {
      port: contestant.port,
      request: chatRequest(contestant.prefix, contestant.headers),
      conns: CONNECTIONS,
      warm: WARM_SECONDS,
      seconds: 4 * bench.pace,
      pids: contestant.pids,
      'expect-bytes': contestant.chatReplyBytes,
    }),
  );
  const cost = (name: string): number => median((results.get(name) ?? []).map(cpuUs));
  const speed = (name: string): number => median((results.get(name) ?? []).map(perSecond));
  const row = (name: string, own: readonly LoadResult[]): Row => {
    const speeds = { per_second: speed(name), per_second_best: Math.max(...own.map(perSecond)) };
    if (name === 'direct') return speeds;
    return {
      ...speeds,
      cpu_us: cost(name),
      cpu_us_min: Math.min(...own.map(cpuUs)),
      x_nginx: cost(name) / cost('nginx'),
      x_cheaper_than_portkey: cost('portkey') / cost(name),
      x_faster_than_portkey: speed(name) / speed('portkey'),
      core_percent: median(own.map((result) => result.cpu_us / result.seconds / 1e4)),
    };
  };
  return {
    name: 'json',
    title: `1 KB JSON exchanges at saturation: closed loop, ${CONNECTIONS} connections, one core`,
    columns: {
      cpu_us: 'CPU µs per exchange',
      cpu_us_min: 'least',
      x_nginx: '× nginx CPU',
      x_cheaper_than_portkey: '× cheaper than Portkey',
      per_second: 'exchanges/s',
      per_second_best: 'best',
      x_faster_than_portkey: '× throughput of Portkey',
      core_percent: 'core used %',
    },
    rows: Object.fromEntries([...results].map(([name, own]) => [name, row(name, own)])),
  };
}

/** Open loop: a steady rate, each exchange timed from the moment it was due. */
export async function measureRates(bench: Bench): Promise<Section[]> {
  return withContestants(bench, async (contestants) => {
    // At these rates V8 would still be compiling after a minute.
    await inTurns({ ...bench, rounds: 1 }, contestants, 'json, warm-up', (contestant) =>
      load('closed', {
        port: contestant.port,
        request: chatRequest(contestant.prefix, contestant.headers),
        conns: CONNECTIONS,
        seconds: WARM_SECONDS,
      }),
    );
    const sections: Section[] = [];
    for (const rate of RATES) {
      const results = await inTurns(bench, contestants, `json, ${rate}/s`, (contestant) =>
        load('open', {
          port: contestant.port,
          request: chatRequest(contestant.prefix, contestant.headers),
          conns: CONNECTIONS,
          rate,
          warm: 1,
          seconds: 5 * bench.pace,
          pids: contestant.pids,
          'expect-bytes': contestant.chatReplyBytes,
        }),
      );
      const base = results.get('direct') ?? [];
      const row = ({ name, pids }: Contestant): Row => {
        const own = results.get(name) ?? [];
        const p50 = median(own.map((result) => result.latency.p50_us ?? Number.NaN));
        const p99 = own.map((result) => result.latency.p99_us ?? Number.NaN);
        const baseP99 = median(base.map((result) => result.latency.p99_us ?? Number.NaN));
        return {
          p50_us: p50,
          p99_us: median(p99),
          added_p50_us:
            pids.length > 0 ? p50 - median(base.map((result) => result.latency.p50_us ?? Number.NaN)) : undefined,
          added_p99_us: pids.length > 0 ? median(p99) - baseP99 : undefined,
          added_p99_us_best: pids.length > 0 ? Math.min(...p99) - baseP99 : undefined,
          cpu_us: pids.length > 0 ? median(own.map(cpuUs)) : undefined,
        };
      };
      sections.push({
        name: `rate_${rate}`,
        title: `1 KB JSON exchanges at ${rate} a second: open loop, timed from when each was due`,
        columns: {
          p50_us: 'p50 µs',
          p99_us: 'p99 µs',
          added_p50_us: 'added p50 µs',
          added_p99_us: 'added p99 µs',
          added_p99_us_best: 'in the best round',
          cpu_us: 'CPU µs per exchange',
        },
        rows: Object.fromEntries(contestants.map((contestant) => [contestant.name, row(contestant)])),
      });
    }
    return sections;
  });
}
