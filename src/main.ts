#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
// The bin.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// What was compiled once is read at the next start, which is sooner ready. Beside the packages, because whoever writes there
// is trusted already; where nothing can be written, nothing is kept.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/throughway'));
const { run } = await import('./cli/cli.ts');

process.exitCode = await run(process.argv.slice(2));
