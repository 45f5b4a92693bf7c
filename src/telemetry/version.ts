// Which Throughway this is: the version of the package, from a checkout as from an installation.
import { readFileSync } from 'node:fs';

// The package's own file, in the shape that npm demands.
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const VERSION = version;
