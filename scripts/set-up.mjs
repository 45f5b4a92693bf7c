// Brings a fresh clone to where its commands run: the pinned Node 24 where the machine's own is older, then the packages.
// Writes to stderr only: stdout belongs to the command that follows.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { runToEnd } from './run-to-end.mjs';

const NODE_MAJOR_MIN = 24;
const root = fileURLToPath(new URL('..', import.meta.url));
const packages = { folder: root, what: 'the packages of package-lock.json' };
const runtime = {
  folder: join(root, 'tools', 'node'),
  what: `Node ${NODE_MAJOR_MIN} (this machine has ${process.version})`,
};

/** Installs what is missing and returns the Node that runs the commands. */
export async function setUp() {
  const ownNode = Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN ? process.execPath : null;
  const wanted = ownNode === null ? [runtime, packages] : [packages];

  if (!wanted.every(isInstalled)) {
    await withLock(async () => {
      // The packages come second, so that npm chooses and builds them under the Node that will run them.
      for (const part of wanted) if (!isInstalled(part)) await install(part, ownNode ?? process.execPath);
    });
  }
  return ownNode ?? runtimeBinary();
}

/** What children need so that `node`, and tools that ask for it, are the given one. */
export function environmentFor(node) {
  const name = Object.keys(process.env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
  return {
    // What was compiled once, and stripped of its types, is read at the next start. src/main.ts says the same for itself alone.
    NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'throughway'),
    ...process.env,
    [name]: [dirname(node), process.env[name]].filter(Boolean).join(delimiter),
  };
}

/** The stamp holds the hash of the lockfile that was installed: it stands only where an installation came to its end. */
const stampOf = (part) => join(part.folder, 'node_modules', '.throughway-setup');

const lockHashOf = (part) =>
  createHash('sha256')
    .update(readFileSync(join(part.folder, 'package-lock.json')))
    .digest('hex');

function isInstalled(part) {
  const stamp = stampOf(part);
  const lockHash = lockHashOf(part);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash) return true;
  if (!npmSaysInstalled(part)) return false;
  writeFileSync(stamp, lockHash);
  return true;
}

/** Whoever ran `npm ci` or `npm install` by hand is not made to wait for a second one: npm's own list of what it installed tells. */
function npmSaysInstalled(part) {
  const list = join(part.folder, 'node_modules', '.package-lock.json');
  if (!existsSync(list)) return false;
  const wanted = JSON.parse(readFileSync(join(part.folder, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(list, 'utf8')).packages;
  const named = new Set(Object.keys(wanted[''].optionalDependencies ?? {}).map((name) => `node_modules/${name}`));
  return Object.entries(wanted).every(([path, { version, optional, os, cpu, libc }]) => {
    if (path === '') return true;
    if (present[path] !== undefined) return present[path].version === version;
    // npm leaves out binaries for other platforms and what only they need.
    return optional === true && (!named.has(path) || Boolean(os ?? cpu ?? libc));
  });
}

async function install(part, node) {
  const why = existsSync(join(part.folder, 'node_modules'))
    ? 'its lockfile has changed'
    : 'this checkout does not have it yet';
  say(`installing ${part.what}, because ${why}: once, with npm, from the npm registry`);
  rmSync(stampOf(part), { force: true });

  const startedAt = Date.now();
  const secondsSoFar = () => Math.round((Date.now() - startedAt) / 1000);
  const progress = setInterval(() => say(`still installing, ${secondsSoFar()} s so far`), 10_000);
  const exitCode = await npmCi(part.folder, existsSync(stampOf(runtime)) ? runtimeBinary() : node);
  clearInterval(progress);

  if (exitCode !== 0) {
    throw new SetUpError(
      `npm ci ended with code ${exitCode}; its reason stands above. It needs the npm registry. Run the same command again to go on.`,
    );
  }
  if (part === runtime) assertRuns(runtimeBinary());
  writeFileSync(stampOf(part), lockHashOf(part));
  say(`done in ${secondsSoFar()} s`);
}

function npmCi(folder, node) {
  // Said in full, because a user's own npm settings could omit what is needed here.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--prefer-offline'];
  args.push('--no-audit', '--no-fund', '--loglevel=error');
  const options = { cwd: folder, env: environmentFor(node), stdio: ['ignore', 'ignore', 'inherit'] };

  const npm = process.env['npm_execpath'];
  if (npm?.endsWith('npm-cli.js')) return runToEnd(node, [npm, ...args], options);
  return runToEnd('npm', args, { ...options, shell: process.platform === 'win32' });
}

/** The one package for this platform that npm chose among those of tools/node. */
function runtimeBinary() {
  const modules = join(runtime.folder, 'node_modules');
  const names = existsSync(modules) ? readdirSync(modules) : [];
  const binaries = names.flatMap((name) => ['node', 'node.exe'].map((file) => join(modules, name, 'bin', file)));
  const binary = binaries.find((path) => existsSync(path));
  if (binary === undefined) throw noRuntime('npm has none for this platform');
  return binary;
}

function assertRuns(binary) {
  const { status, stdout, stderr, error } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  const major = Number.parseInt((stdout ?? '').replace('v', ''), 10);
  if (status === 0 && major >= NODE_MAJOR_MIN) return;
  throw noRuntime(
    `the one from npm does not run here (${error?.message ?? (stderr.trim() || `it ended with ${status}`)})`,
  );
}

function noRuntime(why) {
  return new SetUpError(
    `Throughway needs Node ${NODE_MAJOR_MIN} or newer. This machine (${process.platform} ${process.arch}) has ${process.version}, and ${why}. Install Node ${NODE_MAJOR_MIN} yourself, then run the same command again.`,
  );
}

/** Two commands started at the same time on a fresh clone: one installs, the other waits. */
async function withLock(work) {
  const lock = join(root, '.set-up-lock');
  let hasSaid = false;
  while (!takeLock(lock)) {
    if (isAbandoned(lock)) {
      discard(lock);
      continue;
    }
    if (!hasSaid) say('waiting for another command that is setting up this checkout');
    hasSaid = true;
    await sleep(200);
  }
  try {
    await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function takeLock(lock) {
  try {
    mkdirSync(lock);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
  writeFileSync(join(lock, 'pid'), String(process.pid));
  return true;
}

/** Its owner died, or left before writing its name. */
function isAbandoned(lock) {
  try {
    process.kill(Number(readFileSync(join(lock, 'pid'), 'utf8')), 0);
    return false;
  } catch (error) {
    if (error.code !== 'ENOENT') return error.code === 'ESRCH';
    const ageMs = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    return ageMs > 5_000;
  }
}

/** Renamed first: of two who find the same abandoned lock, only one can take it away. */
function discard(lock) {
  const aside = `${lock}-${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  rmSync(aside, { recursive: true, force: true });
}

function say(text) {
  process.stderr.write(`set-up: ${text}\n`);
}

/** Expected, and said without a stack. */
export class SetUpError extends Error {}
