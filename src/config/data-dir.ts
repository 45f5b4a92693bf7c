// What a running gateway leaves in its data dir for the commands on this machine: where it listens, and the admin token
// that was made for it. For its owner's eyes only.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Secret } from './secret.ts';

export const ADMIN_TOKEN_FILE = 'admin-token';
const WHEREABOUTS_FILE = 'gateway.json';
const OWNER_ONLY = 0o600;

export interface Whereabouts {
  /** `http://HOST:PORT` of each listener. */
  readonly api: string;
  readonly admin: string;
  readonly pid: number;
}

/** @param makeToken called where no token is kept yet */
export function keptAdminToken(dataDir: string, makeToken: () => string): Secret {
  const file = join(dataDir, ADMIN_TOKEN_FILE);
  if (!existsSync(file)) writeFileSync(file, `${makeToken()}\n`, { mode: OWNER_ONLY });
  return new Secret(readFileSync(file, 'utf8').trim());
}

/** The token that a gateway made for itself here; null where there is none. */
export function findAdminToken(dataDir: string): Secret | null {
  const text = readIfThere(join(dataDir, ADMIN_TOKEN_FILE))?.trim();
  return text ? new Secret(text) : null;
}

export function leaveWhereabouts(dataDir: string, whereabouts: Whereabouts): void {
  const file = join(dataDir, WHEREABOUTS_FILE);
  // Renamed into place, so that nobody ever reads half of it.
  writeFileSync(`${file}.new`, `${JSON.stringify(whereabouts)}\n`, { mode: OWNER_ONLY });
  renameSync(`${file}.new`, file);
}

/** Null where no gateway runs. One that was killed left its last words: whoever has its port now must not get the admin token. */
export function findWhereabouts(dataDir: string): Whereabouts | null {
  const text = readIfThere(join(dataDir, WHEREABOUTS_FILE));
  if (text === null) return null;
  // Written by leaveWhereabouts alone.
  const whereabouts = JSON.parse(text) as Whereabouts;
  return isAlive(whereabouts.pid) ? whereabouts : null;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export function removeWhereabouts(dataDir: string): void {
  rmSync(join(dataDir, WHEREABOUTS_FILE), { force: true });
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
