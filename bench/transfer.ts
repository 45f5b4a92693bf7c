// Large bodies: speed and memory of 100 MB each way, and memory while a client reads 400 MB slowly.
import { downloadRequest, uploadRequest } from './fixtures.ts';
import { load } from './native.ts';
import type { LoadResult } from './native.ts';
import { peakResidentMb, resetPeakResident } from './processes.ts';
import { inTurns, withContestants } from './side-by-side.ts';
import type { Bench, Contestant, Row, Section } from './side-by-side.ts';

const FILE_MB = 100;
const SLOW_FILE_MB = 400;
const SLOW_MB_PER_SECOND = 8;
const MB = 1_000_000;

export async function measureTransfers(bench: Bench): Promise<Section> {
  return withContestants(bench, async (contestants) => {
    const peaks = new Map<string, number>();
    const watched = async (
      what: string,
      contestant: Contestant,
      run: () => Promise<LoadResult>,
    ): Promise<LoadResult> => {
      resetPeakResident(contestant.pids);
      const result = await run();
      const key = `${what} ${contestant.name}`;
      peaks.set(key, Math.max(peaks.get(key) ?? 0, peakResidentMb(contestant.pids)));
      return result;
    };
    const once = { conns: 1, count: 1 };

    await bench.upstream.set({ download_bytes: FILE_MB * MB });
    const down = await inTurns(bench, contestants, 'download', (contestant) =>
      watched('down', contestant, () =>
        load('closed', {
          ...once,
          port: contestant.port,
          request: downloadRequest(contestant.prefix, contestant.headers),
          pids: contestant.pids,
          'expect-bytes': FILE_MB * MB,
        }),
      ),
    );
    const up = await inTurns(bench, contestants, 'upload', (contestant) =>
      watched('up', contestant, () =>
        load('closed', {
          ...once,
          port: contestant.port,
          request: uploadRequest(contestant.prefix, contestant.headers, FILE_MB * MB),
          pids: contestant.pids,
        }),
      ),
    );
    await bench.upstream.set({ download_bytes: SLOW_FILE_MB * MB });
    await inTurns({ ...bench, rounds: 1 }, contestants, 'slow reader', (contestant) =>
      watched('slow', contestant, () =>
        load('slow', {
          port: contestant.port,
          request: downloadRequest(contestant.prefix, contestant.headers),
          seconds: 3,
          'bytes-per-second': SLOW_MB_PER_SECOND * MB,
          pids: contestant.pids,
        }),
      ),
    );

    // The best of the rounds: a transfer lasts a fraction of a second, and anything else on the machine only slows it.
    const speed = (results: readonly LoadResult[]): number =>
      Math.max(...results.map((result) => (FILE_MB * 1e6) / (result.latency.p50_us ?? Number.NaN)));
    const cost = (results: readonly LoadResult[]): number =>
      Math.min(...results.map((result) => result.cpu_us / 1000 / FILE_MB));
    const row = ({ name, pids, idleMb }: Contestant): Row => {
      const measured = pids.length > 0;
      return {
        down_mb_per_second: speed(down.get(name) ?? []),
        down_cpu_ms_per_mb: measured ? cost(down.get(name) ?? []) : undefined,
        down_peak_mb: measured ? peaks.get(`down ${name}`) : undefined,
        up_mb_per_second: speed(up.get(name) ?? []),
        up_cpu_ms_per_mb: measured ? cost(up.get(name) ?? []) : undefined,
        up_peak_mb: measured ? peaks.get(`up ${name}`) : undefined,
        slow_peak_mb: measured ? peaks.get(`slow ${name}`) : undefined,
        idle_mb: measured ? idleMb : undefined,
      };
    };
    return {
      name: 'transfer',
      title: `${FILE_MB} MB each way, and a client that reads ${SLOW_FILE_MB} MB at ${SLOW_MB_PER_SECOND} MB/s`,
      columns: {
        down_mb_per_second: 'down MB/s',
        down_cpu_ms_per_mb: 'CPU ms/MB',
        down_peak_mb: 'RSS peak MB',
        up_mb_per_second: 'up MB/s',
        up_cpu_ms_per_mb: 'CPU ms/MB',
        up_peak_mb: 'RSS peak MB',
        slow_peak_mb: 'slow reader RSS peak MB',
        idle_mb: 'RSS idle MB',
      },
      rows: Object.fromEntries(contestants.map((contestant) => [contestant.name, row(contestant)])),
    };
  });
}
