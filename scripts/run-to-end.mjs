// Runs one child to its end, hands it each signal once, and leaves none of its own children behind.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * One Ctrl-C reaches this process twice, from the terminal and from npm. Copies come within milliseconds,
 * a person's second Ctrl-C does not; to the gateway a second signal means "at once".
 */
const COPY_WINDOW_MS = 300;

const ORPHAN_CHECK_MS = 500;

const isWindows = process.platform === 'win32';

/** The child's exit code, or 128 and the signal's number, as shells have it. */
export function runToEnd(command, args, options) {
  // In a group of its own the child hears neither the terminal nor whoever signals our group: only us.
  const child = spawn(command, args, { ...options, detached: !isWindows });
  const lastAt = new Map();
  const forwarders = FORWARDED.map((signal) => [signal, () => forward(signal)]);

  function forward(signal) {
    const now = performance.now();
    const isCopy = now - (lastAt.get(signal) ?? -Infinity) < COPY_WINDOW_MS;
    // On Windows the console tells every process of it, and a kill would not be a signal but the end.
    if (isCopy || isWindows) return;
    lastAt.set(signal, now);
    child.kill(signal);
  }

  const watch = onOrphaned(() => {
    if (lastAt.size === 0) forward('SIGTERM');
  });

  return new Promise((resolve, reject) => {
    const end = (settle) => {
      clearInterval(watch);
      for (const [signal, listener] of forwarders) process.off(signal, listener);
      killLeftovers(child);
      settle();
    };
    for (const [signal, listener] of forwarders) process.on(signal, listener);
    child.once('error', (error) => end(() => reject(error)));
    child.once('exit', (code, signal) => end(() => resolve(code ?? 128 + constants.signals[signal])));
  });
}

/** npm hands SIGTERM to the shell between us, and most shells die of it without a word: the sign is that our parent changed. */
function onOrphaned(act) {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.env['npm_lifecycle_event'] === undefined || process.ppid === parent) return;
    clearInterval(watch);
    act();
  }, ORPHAN_CHECK_MS);
  return watch;
}

function killLeftovers(child) {
  if (isWindows || child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: nobody is left, as it should be.
  }
}
