// Results on stdout. A reader that has seen enough, such as `head`, ends the command quietly.

export function printJson(value: unknown): void {
  printText(`${JSON.stringify(value, null, 2)}\n`);
}

/** For programs that read along: a value a line. */
export function printJsonLine(value: unknown): void {
  printText(`${JSON.stringify(value)}\n`);
}

let isReaderWatched = false;

export function printText(text: string): void {
  if (!isReaderWatched) {
    isReaderWatched = true;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  }
  process.stdout.write(text);
}
