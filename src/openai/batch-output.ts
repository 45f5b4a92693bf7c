// The output file of a batch as it comes, one reply a line: what each tells of itself. Lines may be of any length.
import type { ReplyFacts } from '../domain/facts.ts';
import { Findings, FindingsPlan, USAGE_BYTES_MAX, factsOf, wantsOfReply } from './findings.ts';
import { JsonReader } from './json-reader.ts';

export interface BatchLine {
  readonly customId: string | null;
  /** Of this reply; null where it never came to one. What is not 200 costs nothing. */
  readonly status: number | null;
  readonly facts: ReplyFacts;
}

export interface BatchOutput {
  feed(chunk: Buffer): void;
  /** Ends it: the last line may lack its line end. */
  end(): void;
}

const BODY = 'response.body.';
const PLAN = new FindingsPlan([
  { path: 'custom_id', as: 'value', bytesMax: 1024 },
  { path: 'response.status_code', as: 'value' },
  { path: `${BODY}usage`, as: 'value', bytesMax: USAGE_BYTES_MAX },
  ...wantsOfReply(BODY),
]);
const LF = 0x0a;

export function openBatchOutput(onLine: (line: BatchLine) => void): BatchOutput {
  let found = new Findings(PLAN);
  const reader = new JsonReader(PLAN.json, {
    onValue: (slot, value) => found.onValue(slot, value),
    onElement: (slot) => found.onElement(slot),
    onText: () => {},
  });

  function endLine(): void {
    if (reader.isWhole) onLine(lineOf(found));
    reader.reset();
    found = new Findings(PLAN);
  }

  return {
    feed(chunk) {
      let at = 0;
      while (at < chunk.length) {
        const lineEnd = chunk.indexOf(LF, at);
        const end = lineEnd === -1 ? chunk.length : lineEnd;
        reader.feed(chunk, at, end);
        if (lineEnd !== -1) endLine();
        at = end + 1;
      }
    },
    end: endLine,
  };
}

function lineOf(found: Findings): BatchLine {
  const status = found.value('response.status_code');
  const usage = found.value(`${BODY}usage`);
  return {
    customId: found.string('custom_id'),
    status: typeof status === 'number' ? status : null,
    facts: factsOf(found, BODY, usage === undefined || usage === null ? [] : [usage]),
  };
}
