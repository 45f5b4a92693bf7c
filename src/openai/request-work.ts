// A request that starts work on a file: a batch, or training. Small, so that it is read as a whole once it is here.
import type { RequestFacts } from '../domain/facts.ts';
import type { WorkOnFile } from '../domain/input-file.ts';
import { member } from './findings.ts';
import type { RequestScan, UsagePlace } from './request-scan.ts';

const BODY_BYTES_MAX = 64 * 1024;
const ID_CHARACTERS_MAX = 200;

/** Reads what any other scan does, and the file. */
export class WorkScan implements RequestScan {
  readonly #scan: RequestScan;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(scan: RequestScan) {
    this.#scan = scan;
  }

  get model(): string | null {
    return this.#scan.model;
  }

  feed(chunk: Buffer): void {
    this.#scan.feed(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes <= BODY_BYTES_MAX) this.#parts.push(Buffer.from(chunk));
    else this.#parts.length = 0;
  }

  end(): void {
    this.#scan.end();
  }

  facts(): RequestFacts {
    const facts = this.#scan.facts();
    return facts.isWhole && facts.isReadable && this.#bytes <= BODY_BYTES_MAX
      ? { ...facts, work: workIn(Buffer.concat(this.#parts)) }
      : facts;
  }

  usagePlace(): UsagePlace | null {
    return this.#scan.usagePlace();
  }
}

function workIn(body: Buffer): WorkOnFile | null {
  let request: unknown;
  try {
    request = JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
  const fileId = member(request, 'input_file_id') ?? member(request, 'training_file');
  if (typeof fileId !== 'string' || fileId.length > ID_CHARACTERS_MAX) return null;
  const method = member(request, 'method');
  const type = member(method, 'type');
  const ofMethod = typeof type === 'string' ? member(method, type) : undefined;
  const told = [member(request, 'hyperparameters'), member(ofMethod, 'hyperparameters')]
    .map((each) => member(each, 'n_epochs'))
    .filter((each) => typeof each === 'number');
  return { fileId, epochs: told.length === 0 ? null : Math.max(...told), isTimed: type === 'reinforcement' };
}
