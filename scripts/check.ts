// `npm run check`: everything that can be said about the code without running it. All steps run, whichever of them fails.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';

const TOOL = 'node_modules';

const STEPS: Record<string, readonly string[] | (() => string)> = {
  format: [`${TOOL}/oxfmt/bin/oxfmt`, '--list-different'],
  lint: [`${TOOL}/oxlint/bin/oxlint`, '--type-aware'],
  types: [`${TOOL}/typescript/bin/tsc`, '--noEmit'],
  'dead code': [`${TOOL}/knip/bin/knip.js`, '--no-progress'],
  house: ['--test', '--test-reporter=dot', 'test/house.test.ts'],
  leftovers: findLeftovers,
};

let failed = 0;
for (const [name, step] of Object.entries(STEPS)) {
  const startedAt = performance.now();
  const complaint = typeof step === 'function' ? step() : complaintOf(step);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${complaint === '' ? 'ok    ' : 'FAILED'}   ${name}  ${seconds} s\n${complaint}`);
  if (complaint !== '') failed += 1;
}
if (failed > 0)
  process.stdout.write('\n`npm run format` mends the format; each other complaint names its file and rule.\n');
process.stdout.write(`${Object.keys(STEPS).length - failed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;

/** What a tool said where it failed; a tool that fails in silence is still heard. */
function complaintOf(args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  if (status === 0) return '';
  return `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trim() + `\n${args[0]} ended with ${status}\n`;
}

/** A known debt is an issue; a note in the code is read by nobody. */
function findLeftovers(): string {
  const marks = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
  const files = globSync('{src,test,scripts,bench,examples,ui}/**/*.{ts,tsx,mjs,js,py,c,h,css,html}', {
    exclude: (path) => /(^|[\\/])(node_modules|\.venv|dist)$/.test(path),
  });
  const lines = files.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line, at) => (marks.test(line) ? [`${file}:${at + 1} ${line.trim()}\n`] : [])),
  );
  return lines.length === 0 ? '' : `${lines.join('')}file an issue instead, with its trigger, and take the note out\n`;
}
