// Streams: what an event costs, what time a gateway adds to it, and what memory many open streams take.
import { streamRequest } from './fixtures.ts';
import { load } from './native.ts';
import type { Distribution } from './native.ts';
import { peakResidentMb, resetPeakResident } from './processes.ts';
import { inTurns, withContestants } from './side-by-side.ts';
import type { Bench, Contestant, Row, Section } from './side-by-side.ts';
import { median } from './statistics.ts';

const EVENTS = 100;
const WARM_SECONDS = 4;
const LOADS = [
  { streams: 200, intervalUs: 20_000 },
  { streams: 1000, intervalUs: 50_000 },
] as const;

export async function measureStreams(bench: Bench): Promise<Section[]> {
  const sections: Section[] = [];
  for (const { streams, intervalUs } of LOADS) {
    sections.push(await withContestants(bench, (contestants) => measureLoad(bench, contestants, streams, intervalUs)));
  }
  return sections;
}

async function measureLoad(
  bench: Bench,
  contestants: readonly Contestant[],
  streams: number,
  intervalUs: number,
): Promise<Section> {
  await bench.upstream.set({ events: EVENTS, interval_us: intervalUs });
  const streamSeconds = (EVENTS * intervalUs) / 1e6;
  const eventsPerSecond = (streams * 1e6) / intervalUs;
  const peaks = new Map<string, number[]>();
  const results = await inTurns(bench, contestants, `sse, ${eventsPerSecond} events/s`, async (contestant) => {
    resetPeakResident(contestant.pids);
    const result = await load('stream', {
      port: contestant.port,
      request: streamRequest(contestant.prefix, contestant.headers),
      conns: streams,
      // Streams start spread over the warm-up; whole lengths of a stream keep their starts spread in the window as well.
      warm: Math.ceil(WARM_SECONDS / streamSeconds) * streamSeconds,
      seconds: 5 * bench.pace,
      pids: contestant.pids,
      'expect-events': EVENTS,
    });
    peaks.set(contestant.name, [...(peaks.get(contestant.name) ?? []), peakResidentMb(contestant.pids)]);
    return result;
  });

  const middle = (name: string, pick: 'first_byte' | 'delay', rank: 'p50_us' | 'p99_us'): number =>
    median((results.get(name) ?? []).map((result) => (result[pick] satisfies Distribution)[rank] ?? Number.NaN));
  const row = ({ name, pids, idleMb }: Contestant): Row => {
    const own = results.get(name) ?? [];
    const cost = (of: string): number => median((results.get(of) ?? []).map((result) => result.cpu_us / result.events));
    const added = (pick: 'first_byte' | 'delay', rank: 'p50_us' | 'p99_us'): number | undefined =>
      pids.length > 0 ? middle(name, pick, rank) - middle('direct', pick, rank) : undefined;
    return {
      cpu_us: pids.length > 0 ? cost(name) : undefined,
      x_nginx: pids.length > 0 ? cost(name) / cost('nginx') : undefined,
      events_per_second: median(own.map((result) => result.events / result.seconds)),
      added_first_byte_p50_us: added('first_byte', 'p50_us'),
      added_first_byte_p99_us: added('first_byte', 'p99_us'),
      delay_p50_us: middle(name, 'delay', 'p50_us'),
      added_delay_p50_us: added('delay', 'p50_us'),
      added_delay_p99_us: added('delay', 'p99_us'),
      idle_mb: pids.length > 0 ? idleMb : undefined,
      peak_mb: pids.length > 0 ? Math.max(...(peaks.get(name) ?? [])) : undefined,
    };
  };
  return {
    name: `sse_${streams}`,
    title: `${streams} streams of ${EVENTS} events of 304 bytes, ${eventsPerSecond} events a second`,
    columns: {
      cpu_us: 'CPU µs per event',
      x_nginx: '× nginx CPU',
      events_per_second: 'events/s',
      added_first_byte_p50_us: 'added first byte p50 µs',
      added_first_byte_p99_us: 'p99',
      delay_p50_us: 'event delay p50 µs',
      added_delay_p50_us: 'added p50',
      added_delay_p99_us: 'added p99',
      idle_mb: 'RSS idle MB',
      peak_mb: 'RSS peak MB',
    },
    rows: Object.fromEntries(contestants.map((contestant) => [contestant.name, row(contestant)])),
  };
}
