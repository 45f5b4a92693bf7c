#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
// The bin.
import { run } from './cli/cli.ts';

process.exitCode = await run(process.argv.slice(2));
