// npm run bench -- [--only json,rate,sse,transfer,assistants,micro,ledger,admission] [--quick] [--rounds N] [--variants direct,nginx,...]
//   [--against FILE] [--json FILE] [--docs]; --against names the src/main.ts of another checkout, measured beside this one.
// Prints ratios of one run, side by side. docs/benchmarks.md says what each row means.
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { formatAssistants, measureAssistants } from './assistants.ts';
import { hasCompiler, startUpstream } from './native.ts';
import { canPin } from './processes.ts';
import { measureRates, measureSaturation } from './relay.ts';
import { formatSection, formatTargets } from './report.ts';
import type { Bench, Section } from './side-by-side.ts';
import { measureStreams } from './sse.ts';
import { measureTransfers } from './transfer.ts';
import { nginxVersion, throughwayFrom, variants } from './variants.ts';

const sectionMakers: Readonly<Record<string, (bench: Bench) => Promise<Section | Section[]>>> = {
  json: measureSaturation,
  rate: measureRates,
  sse: measureStreams,
  transfer: measureTransfers,
};

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    variants: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    against: { type: 'string' },
    json: { type: 'string' },
  },
});

function chosen(flag: string | undefined, known: readonly string[], name: string): readonly string[] {
  const names = flag?.split(',') ?? known;
  const stranger = names.find((candidate) => !known.includes(candidate));
  if (stranger !== undefined) throw new Error(`--${name} does not know "${stranger}"; it knows ${known.join(', ')}`);
  return known.filter((candidate) => names.includes(candidate));
}

async function measureSections(names: readonly string[], contestants: readonly string[]): Promise<Section[]> {
  if (!canPin) console.error('Without two cores and taskset nothing is pinned: figures are not per core.');
  const other = flags.against === undefined ? [] : [throughwayFrom('against', resolve(flags.against))];
  const wanted = [...variants.filter(({ name }) => contestants.includes(name)), ...other];
  const ready = wanted.filter((variant) => {
    const lack = variant.prepare();
    if (lack !== undefined) console.error(`${variant.name} is left out: ${lack}`);
    return lack === undefined;
  });
  const upstream = await startUpstream();
  const bench: Bench = {
    upstream,
    variants: ready,
    rounds: Number(flags.rounds ?? (flags.quick ? 1 : 3)),
    pace: flags.quick ? 0.4 : 1,
  };
  const sections: Section[] = [];
  try {
    for (const name of names) {
      const made = (await sectionMakers[name]?.(bench)) ?? [];
      sections.push(...[made].flat());
    }
  } finally {
    await upstream.stop();
  }
  return sections;
}

/** The tables of the page are never typed by hand. */
function writeLastRun(text: string): void {
  const page = join(import.meta.dirname, '..', 'docs', 'benchmarks.md');
  const marker = '<!-- Written by npm run bench -- --docs -->\n';
  const [before] = readFileSync(page, 'utf8').split(marker);
  writeFileSync(page, `${before}${marker}\n${text.trimEnd()}\n`);
}

const names = chosen(flags.only, [...Object.keys(sectionMakers), 'assistants', 'micro', 'ledger', 'admission'], 'only');
const contestants = chosen(
  flags.variants,
  variants.map(({ name }) => name),
  'variants',
);
const relayNames = names.filter((name) => name in sectionMakers);
if (relayNames.length > 0 && !hasCompiler) {
  console.error('The upstream and the load are C programs: install gcc (apt-get install gcc libc6-dev).');
  process.exit(1);
}

const pinning = canPin ? 'gateway alone on core 0' : 'not pinned';
console.log(`Node ${process.version}, ${nginxVersion()}, ${availableParallelism()} cores, ${pinning}\n`);
const sections = relayNames.length > 0 ? await measureSections(relayNames, contestants) : [];
const texts = sections.map(formatSection);
if (names.includes('assistants')) texts.push(formatAssistants(await measureAssistants(flags.quick ? 0.4 : 1)));
if (names.includes('micro')) {
  const { formatMicro, measureMicro } = await import('./micro.ts'); // Only where asked for: it runs code of src/ in here.
  texts.push(formatMicro(await measureMicro()));
}
if (names.includes('ledger')) {
  const { formatLedger, measureLedger, measureReports } = await import('./ledger.ts');
  const share = flags.quick ? 0.1 : 1;
  texts.push(formatLedger([...(await measureLedger(share)), ...(await measureReports(share))]));
}
if (names.includes('admission')) {
  const { formatAdmission, measureAdmission } = await import('./admission.ts');
  texts.push(formatAdmission(await measureAdmission(flags.quick ? 0.1 : 1)));
}
const text = [...texts, formatTargets(sections)].join('\n');
console.log(text);
if (flags.json !== undefined) {
  writeFileSync(flags.json, `${JSON.stringify({ node: process.version, sections }, null, 2)}\n`);
}
if (flags.docs) writeLastRun(text);
process.exit(0);
