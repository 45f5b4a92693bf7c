// The port by which the admin API brings objects of the Assistants API in and takes them out: a line of JSON for each.
import type { TeamId } from './id.ts';

export interface Backup {
  /** Idempotent: ids and times are kept, what stands already is replaced. A line that cannot be read stops no other. */
  importLines(text: string, options: ImportOptions): Promise<ImportReport>;
  /** Every object of one team, or of all: assistants, and each thread with all that hangs on it. */
  exportLines(team: TeamId | null): AsyncIterable<string>;
}

export interface ImportOptions {
  /** Whose the objects become whose line names no team. */
  readonly team: TeamId;
  /** Says what would happen, and writes nothing. */
  readonly isDryRun: boolean;
}

export interface ImportReport {
  readonly dry_run: boolean;
  readonly lines: number;
  readonly created: ImportCounts;
  readonly updated: ImportCounts;
  readonly unchanged: ImportCounts;
  /** The first hundred. */
  readonly problems: readonly { readonly line: number; readonly message: string }[];
  readonly problem_count: number;
}

export interface ImportCounts {
  readonly assistants: number;
  readonly threads: number;
  readonly messages: number;
  /** What stands in the histories between messages: calls, their outputs, reasoning. */
  readonly items: number;
  readonly runs: number;
  readonly steps: number;
  readonly files: number;
}
