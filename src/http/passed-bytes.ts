// Keeps memory flat while large bodies pass. Each chunk is garbage as soon as it is written, but V8 counts the few bytes of
// its header, not the 64 KiB behind it: left alone it lets 64 MiB and more pile up before it looks.
import v8 from 'node:v8';
import vm from 'node:vm';

/** A young collection takes a millisecond at most: at a gigabyte per second, a few per cent of a core. */
const COLLECT_EVERY_BYTES = 16 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' }) => void;

let collect: Collect | null = null;
let bytesSince = 0;

/** Called with the length of each chunk that went by, in either direction. */
export function countPassed(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < COLLECT_EVERY_BYTES) return;
  bytesSince = 0;
  collect ??= findCollect();
  collect({ type: 'minor' });
}

/** V8 hands it out to contexts made after this flag is set; scripts of this process do not see it. */
function findCollect(): Collect {
  v8.setFlagsFromString('--expose-gc');
  const found: unknown = vm.runInNewContext('gc');
  return typeof found === 'function' ? (found as Collect) : () => {};
}
