// What uploaded files ask for, by their ids: for what is set aside when work on them begins. Told by the records of their uploads.
import type { ExchangeRecord } from '../domain/exchange-record.ts';
import { type InputFile, inputFileOf } from '../domain/input-file.ts';

/** The one known longest is forgotten. */
const FILES_MAX = 5000;

export interface InputFiles {
  see(record: ExchangeRecord): void;
  /** Null of what was not uploaded here. */
  find(id: string): InputFile | null;
}

export function openInputFiles(): InputFiles {
  const known = new Map<string, InputFile>();
  return {
    see({ objects }) {
      // What versions before this one did not write is absent.
      for (const { id, input } of objects ?? []) {
        if (input === undefined) continue;
        if (known.size >= FILES_MAX) known.delete(known.keys().next().value!);
        known.set(id, inputFileOf(input));
      }
    },
    find: (id) => known.get(id) ?? null,
  };
}
