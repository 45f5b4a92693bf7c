// Brings objects in and takes them out, a line of JSON for each. Nothing can be fetched from OpenAI any more: what comes in are
// dumps that were made in time, or what applications kept (reference: assistants 8.1).
import { z } from 'zod';

import type { AssistantStore, ImportedObject } from '../domain/assistant-store.ts';
import type { Backup, ImportCounts, ImportOptions, ImportReport } from '../domain/backup.ts';
import type { TeamId } from '../domain/id.ts';
import type { OwnerStore } from '../domain/ownership.ts';
import type { Team } from '../domain/team.ts';
import { exportTeam } from './export-lines.ts';
import { parseLine } from './import-objects.ts';
import { ownedByImport } from './import-owners.ts';

const PROBLEMS_MAX = 100;

/** Owners before what they own. */
const KINDS = ['assistant', 'thread', 'message', 'item', 'run', 'step', 'file', 'file_part'] as const;
type Kind = (typeof KINDS)[number];
/** Parts are counted as the file that they are of. */
const PLURALS: Readonly<Record<Kind, keyof ImportCounts | null>> = {
  assistant: 'assistants',
  thread: 'threads',
  message: 'messages',
  item: 'items',
  run: 'runs',
  step: 'steps',
  file: 'files',
  file_part: null,
};

export interface BackupParts {
  readonly store: AssistantStore;
  readonly owners: Pick<OwnerStore, 'own'>;
  readonly findTeam: (idOrName: string) => Promise<Team | null>;
}

interface Read {
  readonly line: number;
  readonly object: ImportedObject;
  /** No line tells of this thread, but of something in it. */
  readonly isImplied?: boolean;
}

export function openBackup({ store, owners, findTeam }: BackupParts): Backup {
  async function importLines(text: string, options: ImportOptions): Promise<ImportReport> {
    const report = openReport(options.isDryRun);
    const read = await readLines(text, options.team, report.problem, (lines) => report.count(lines));
    const made = new Set<string>();
    for (const { line, object, isImplied } of withThreads(inOrder(read))) {
      if (isImplied && object.kind === 'thread' && (await store.findThread(object.object.teamId, object.object.id)))
        continue;
      const outcome = await store.importObject(object, options.isDryRun);
      // In a dry run nothing is written: what would have been made earlier counts as there.
      const isMade = options.isDryRun && made.has(key(object, ownerOf(object)));
      if ('id' in object.object) made.add(key(object, object.object.id));
      if (outcome === 'created' || outcome === 'updated' || outcome === 'unchanged') {
        report.add(outcome, object.kind);
        if (!options.isDryRun) await owners.own(ownedByImport(object, store.now()));
      } else if (isMade) report.add('created', object.kind);
      else report.problem(line, `there is no ${outcome.slice('no_'.length)} ${ownerOf(object)}`);
    }
    return report.whole();
  }

  async function readLines(
    text: string,
    team: TeamId,
    problem: (line: number, message: string) => void,
    count: (lines: number) => void,
  ): Promise<Read[]> {
    const teams = new Map<string, TeamId | null>();
    const teamOf = async (named: string | undefined): Promise<TeamId> => {
      if (named === undefined) return team;
      if (!teams.has(named)) teams.set(named, (await findTeam(named))?.id ?? null);
      const found = teams.get(named);
      if (!found)
        throw new Error(
          `there is no team "${named}"; make it first, or take the member "team" away and name one for all`,
        );
      return found;
    };
    const read: Read[] = [];
    let lines = 0;
    for (const [i, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue;
      lines++;
      try {
        const parsed = parseLine(line);
        for (const object of parsed.read(await teamOf(parsed.team), Math.floor(store.now() / 1000)))
          read.push({ line: i + 1, object });
      } catch (error) {
        problem(i + 1, sayWhy(error));
      }
    }
    count(lines);
    return read;
  }

  async function* exportLines(team: TeamId | null): AsyncGenerator<string> {
    const teams = team === null ? await store.exportTeams() : [team];
    const named = await Promise.all(teams.map(async (id) => ({ id, name: (await findTeam(id))?.name ?? String(id) })));
    // By name, for ids differ from store to store.
    for (const { id, name } of named.toSorted((a, b) => (a.name < b.name ? -1 : 1))) yield* exportTeam(store, id, name);
  }

  return { importLines, exportLines };
}

/** Lists of OpenAI's came newest first: what a dump holds backwards is turned round, and then sorted by its seconds. */
function inOrder(read: readonly Read[]): readonly Read[] {
  return KINDS.flatMap((kind) => {
    const ofKind = read.filter(({ object }) => object.kind === kind);
    const byOwner = Map.groupBy(ofKind, ({ object }) => ('threadId' in object.object ? object.object.threadId : ''));
    return [...byOwner.values()].flatMap((rows) => {
      const first = rows[0];
      const last = rows.at(-1);
      const isBackwards = first !== undefined && last !== undefined && timeOf(first) > timeOf(last);
      return (isBackwards ? rows.toReversed() : rows).toSorted((a, b) => timeOf(a) - timeOf(b));
    });
  });
}

/** Items and parts say their places themselves. */
function timeOf({ object }: Read): number {
  return 'createdAt' in object.object ? object.object.createdAt : 0;
}

/** Messages of a thread whose own line the dump lacks bring it along. */
function withThreads(read: readonly Read[]): readonly Read[] {
  const named = new Set(
    read.flatMap(({ object }) => (object.kind === 'thread' ? [key(object, object.object.id)] : [])),
  );
  const missing: Read[] = [];
  for (const { line, object } of read) {
    if (object.kind !== 'message' || named.has(key(object, object.object.threadId))) continue;
    named.add(key(object, object.object.threadId));
    const { teamId, threadId, createdAt } = object.object;
    const thread = {
      teamId,
      id: threadId,
      createdAt,
      toolResources: {},
      metadata: {},
      container: null,
      containerFiles: [],
      extra: {},
    };
    missing.push({ line, object: { kind: 'thread', object: thread }, isImplied: true });
  }
  return missing.length === 0 ? read : [...missing, ...read];
}

/** What must be there before it. */
function ownerOf({ kind, object }: ImportedObject): string {
  if (kind === 'step') return object.runId;
  if (kind === 'file_part') return object.fileId;
  return 'threadId' in object ? object.threadId : '';
}

function key({ object }: ImportedObject, id: string): string {
  return `${object.teamId} ${id}`;
}

function openReport(isDryRun: boolean) {
  const counts = () => ({ assistants: 0, threads: 0, messages: 0, items: 0, runs: 0, steps: 0, files: 0 });
  const outcomes = { created: counts(), updated: counts(), unchanged: counts() };
  const problems: { line: number; message: string }[] = [];
  let problemCount = 0;
  let lines = 0;
  return {
    count: (seen: number) => {
      lines = seen;
    },
    add: (outcome: keyof typeof outcomes, kind: Kind) => {
      const counted = PLURALS[kind];
      if (counted !== null) outcomes[outcome][counted]++;
    },
    problem: (line: number, message: string) => {
      problemCount++;
      if (problems.length < PROBLEMS_MAX) problems.push({ line, message });
    },
    whole: (): ImportReport => ({ dry_run: isDryRun, lines, ...outcomes, problems, problem_count: problemCount }),
  };
}

function sayWhy(error: unknown): string {
  if (error instanceof z.ZodError) {
    return error.issues.map(({ path, message }) => `${path.join('.') || 'the line'}: ${message}`).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
