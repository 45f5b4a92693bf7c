// Runs the suite with Node's own test runner, a process a file, and ends with one line: `N passed, N failed`.
// `npm test -- keys relay` runs the files whose path contains one of the words and names each test.
import { existsSync, globSync } from 'node:fs';
import { relative } from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';

/** A file that hangs fails by name: while a test runs, later than the slowest, which relays gigabytes; else much sooner. */
const TEST_TIMEOUT_MS = 5 * 60_000;
const QUIET_TIMEOUT_MS = 60_000;
const FILES_AT_ONCE = 2;

const words = process.argv.slice(2);
const isVerbose = words.length > 0;
const files = globSync('test/**/*.test.ts')
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .toSorted();

// An environment variable rather than a flag, so that a gateway which a test starts is closed in as well.
const preload = new URL('../test/support/loopback-only.ts', import.meta.url).href;
const flags = ['--disable-warning=ExperimentalWarning', `--import=${preload}`];
process.env['NODE_OPTIONS'] = [process.env['NODE_OPTIONS'], ...flags].filter(Boolean).join(' ');

// What the developer's own shell has set for a gateway must not reach one in a test.
for (const name of Object.keys(process.env)) {
  if (/^(OPENAI_|THROUGHWAY_|OTEL_|DATABASE_URL$|REDIS_URL$|(HTTPS?|ALL|NO)_PROXY$)/i.test(name))
    delete process.env[name];
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const total: Tally = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips: string[] = [];

if (files.length === 0) {
  fail(words.join(' '), 'no test file has such a path');
  total.failed += 1;
}
const queue = files.values();
await Promise.all(Array.from({ length: FILES_AT_ONCE }, () => work()));

// In CI nothing is left out silently: only the reference folder beside the checkout may be absent, if it really is.
const mayMiss = (reason: string) => reason.includes('../shared') && !existsSync('../shared');
for (const skip of skips) {
  print(`skipped  ${skip}`);
  if (process.env['CI'] !== 'true' || mayMiss(skip)) continue;
  fail(skip, 'was skipped, and in CI every test runs: install what it misses in .ci/run');
  total.failed += 1;
  total.skipped -= 1;
}
for (const failure of failures) print(`failed   ${failure}`);
const tail = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
print(`${total.passed} passed, ${total.failed} failed${tail}`);
process.exitCode = total.failed > 0 ? 1 : 0;

async function work(): Promise<void> {
  for (const file of queue) {
    const tally = await runFile(file);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
  }
}

async function runFile(file: string): Promise<Tally> {
  const startedAt = performance.now();
  const limit = new AbortController();
  const stream = run({ files: [file], signal: limit.signal });
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const details: string[] = [];
  const said: string[] = [];
  const running = new Map<number, string>();
  let timer = setTimeout(() => limit.abort(), QUIET_TIMEOUT_MS);
  const restartTimer = () => {
    clearTimeout(timer);
    timer = setTimeout(() => limit.abort(), running.size > 0 ? TEST_TIMEOUT_MS : QUIET_TIMEOUT_MS);
  };
  /** Names of the test that is told of and of those around it. */
  const path: string[] = [];
  const isFileItself = (name: string) => relative('', name).replaceAll('\\', '/') === file;

  // Only the first event tells truly which is a suite: for all but its first child, the second repeats the parent's type.
  const suites = new Set<number>();
  stream.on('test:enqueue', ({ testId, type }) => {
    if (type === 'suite') suites.add(testId);
  });
  stream.on('test:dequeue', ({ testId, name }) => {
    if (!suites.has(testId) && !isFileItself(name)) running.set(testId, name);
    restartTimer();
  });
  stream.on('test:complete', ({ testId, name }) => {
    if (!isFileItself(name)) running.delete(testId);
    restartTimer();
  });
  stream.on('test:start', ({ nesting, name }) => path.splice(nesting, Infinity, name));
  stream.on('test:stdout', ({ message }) => said.push(message));
  stream.on('test:stderr', ({ message }) => said.push(message));
  stream.on('test:diagnostic', ({ message, file: where }) => {
    // Without a file it is the runner, closing with its own counts.
    if (where !== undefined) said.push(`${message}\n`);
  });

  stream.on('test:pass', ({ name, nesting, skip, details: { duration_ms, type } }) => {
    if (isFileItself(name)) {
      details.push(fail(file, 'has no test in it'));
      tally.failed += 1;
      tally.passed -= 1;
    }
    if (skip !== undefined && skip !== false) skips.push(`${file}: ${name}: ${String(skip)}`);
    else if (isVerbose)
      details.push(`    ${'  '.repeat(nesting)}${name}${type === 'suite' ? '' : ` (${duration_ms.toFixed(0)} ms)`}`);
  });
  stream.on('test:fail', ({ name, file: where = file, line, nesting, todo, details: { error } }) => {
    // Told of by another: the child that failed, or the parent that took its children along.
    const isEcho =
      'failureType' in error && ['subtestsFailed', 'cancelledByParent'].includes(String(error.failureType));
    if (isEcho || (todo !== undefined && todo !== false)) return;
    if (!isFileItself(name)) {
      details.push(
        fail(
          `${relative('', where)}:${line} ${[...path.slice(0, nesting), name].join(' > ')}`,
          reasonOf(error.cause ?? error),
        ),
      );
      return;
    }
    const hung =
      running.size > 0
        ? `did not end: ${[...running.values()].join('; ')}`
        : 'did not end after its tests: something was left open, such as a server, a socket or a timer';
    const why = limit.signal.aborted ? hung : 'ended with an error outside its tests; what it said stands below';
    details.push(fail(file, why));
  });
  stream.on('test:summary', ({ counts, success, file: where }) => {
    // The one without a file is the sum, with what went wrong outside tests in it.
    if (where !== undefined) return;
    tally.passed += counts.passed;
    tally.failed += Math.max(counts.tests - counts.passed - counts.skipped - counts.todo, success ? 0 : 1);
    tally.skipped += counts.skipped;
  });

  await new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject).resume());
  clearTimeout(timer);

  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : '';
  print(
    `${tally.failed > 0 ? 'FAILED' : 'ok    '}   ${file}  ${tally.passed} passed, ${tally.failed} failed${skipped}  ${seconds} s`,
  );
  for (const detail of details) print(detail);
  if (tally.failed > 0 || isVerbose) process.stdout.write(said.join(''));
  return tally;
}

/** The runner's own reasons, such as a cancelled parent, are bare strings. */
function reasonOf(error: unknown): string {
  return typeof error === 'string' ? error : inspect(error);
}

/** Kept for the end, where it is found again; returned with its reason for where it happened. */
function fail(what: string, why: string): string {
  const summary = why.split('\n').filter(Boolean).slice(0, 2).join(' ').slice(0, 200);
  failures.push(`${what}: ${summary}`);
  return `    ${what}\n${why.replaceAll(/^/gm, '      ')}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
