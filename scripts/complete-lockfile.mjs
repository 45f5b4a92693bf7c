// To be run after an upgrade of a tool that ships a binary per platform, where the registry does not carry them all: npm
// leaves those it could not see out of package-lock.json, and `npm ci` then refuses the lockfile everywhere. This writes
// them back as their parent lists them, by exact version and platform; their hashes are not known here.
import { readFileSync, writeFileSync } from 'node:fs';

const lockfile = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(lockfile, 'utf8'));

const CPUS = {
  arm: ['arm'],
  arm64: ['arm64'],
  x64: ['x64'],
  ia32: ['ia32'],
  ppc64: ['ppc64'],
  riscv64: ['riscv64'],
  s390x: ['s390x'],
};
const LIBCS = { gnu: ['glibc'], gnueabihf: ['glibc'], musl: ['musl'], musleabihf: ['musl'] };

let added = 0;
for (const parent of Object.values({ ...lock.packages })) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (lock.packages[path] !== undefined || parent === lock.packages['']) continue;
    lock.packages[path] = entryFor(name, version, parent);
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(lockfile, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added} entries added to package-lock.json\n`);

/** The name tells the platform: `@oxlint/binding-linux-arm64-musl`, `@oxlint-tsgolint/win32-x64`. */
function entryFor(name, version, parent) {
  const [os, arch, abi] = name.split('/')[1].replace('binding-', '').split('-');
  if (CPUS[arch] === undefined) throw new Error(`${name} does not tell its platform; write its entry by hand`);
  return {
    version,
    cpu: CPUS[arch],
    ...(parent.dev ? { dev: true } : {}),
    ...(os === 'linux' && LIBCS[abi] ? { libc: LIBCS[abi] } : {}),
    license: parent.license,
    optional: true,
    os: [os],
    ...(parent.engines ? { engines: parent.engines } : {}),
  };
}
