// The door to the audit: read as a list, and checked as a chain that nobody can shorten, mend or shuffle unseen.
import { type AuditHead, type AuditRow, CHAIN_START, type Change, hashOfRow } from '../domain/audit.ts';
import type { AuditFilter, AuditStore, Listed, Page } from '../domain/stores.ts';

export interface Audit {
  /** For a change that is kept elsewhere than in the shared store. */
  append(change: Change): Promise<AuditRow>;
  list(page: Page, filter: AuditFilter): Promise<Listed<AuditRow>>;
  /** Walks the whole chain. */
  verify(): Promise<AuditReport>;
}

export interface AuditReport {
  readonly isWhole: boolean;
  /** Rows that were checked. */
  readonly rows: number;
  /** The last link: written down elsewhere, it tells later whether the whole chain was made anew. */
  readonly head: AuditHead;
  /** In the order of the chain, at most a hundred. */
  readonly faults: readonly AuditFault[];
}

export interface AuditFault {
  readonly seq: number;
  /** `moved`: the row is genuine, but belongs to another place. */
  readonly what: 'edited' | 'deleted' | 'moved' | 'added';
  readonly message: string;
}

const PAGE_ROWS = 1000;
const FAULTS_MAX = 100;

export function openAudit(store: AuditStore): Audit {
  return {
    append: (change) => store.append(change),
    list: (page, filter) => store.list(page, filter),
    verify: () => verify(store),
  };
}

async function verify(store: AuditStore): Promise<AuditReport> {
  const head = await store.head();
  const walk = newWalk();
  for (let after = 0; after < head.seq;) {
    const rows = await store.readAfter(after, PAGE_ROWS);
    for (const row of rows) if (row.seq <= head.seq) walk.step(row);
    after = rows.at(-1)?.seq ?? head.seq;
  }
  walk.end(head);

  // A change made meanwhile adds a row and moves the head; a row beyond the head was put there by someone else.
  const [beyond] = await store.readAfter(head.seq, 1);
  if (beyond !== undefined && (await store.head()).seq < beyond.seq) walk.found(beyond.seq, 'added');
  const faults = walk.faults();
  return { isWhole: faults.length === 0, rows: walk.rows(), head, faults };
}

/** Sees each row once, in order, and remembers only what is wrong. */
function newWalk() {
  const faults = new Map<number, AuditFault>();
  /** Rows that are not what their hash says. */
  const doubtful: AuditRow[] = [];
  let last: AuditHead = CHAIN_START;
  let count = 0;

  function found(seq: number, what: AuditFault['what'], message: string = SAYS[what]): void {
    if (faults.size < FAULTS_MAX && !faults.has(seq)) faults.set(seq, { seq, what, message: `row ${seq} ${message}` });
  }

  /** @param link what the next one says of the last */
  function check(next: { readonly seq: number; readonly link: string }): void {
    const missingMax = Math.min(next.seq, last.seq + 1 + FAULTS_MAX);
    for (let seq = last.seq + 1; seq < missingMax; seq++) found(seq, 'deleted');
    const isGap = next.seq > last.seq + 1;
    const isDoubtful = doubtful.at(-1)?.seq === last.seq;
    if (!isGap && !isDoubtful && next.link !== last.hash) {
      found(last.seq, 'edited', 'was written anew: what follows it was chained to another');
    }
  }

  return {
    step(row: AuditRow): void {
      const isGenuine = hashOfRow(row) === row.hash;
      // What a row that is not genuine says of the one before proves nothing against that.
      check({ seq: row.seq, link: isGenuine ? row.previous : last.hash });
      if (!isGenuine && doubtful.length < FAULTS_MAX) doubtful.push(row);
      last = row;
      count++;
    },
    end(head: AuditHead): void {
      check({ seq: head.seq + 1, link: head.hash });
      const places = [...faults.keys(), ...doubtful.map(({ seq }) => seq)];
      for (const row of doubtful) {
        const from = places.find((seq) => hashOfRow({ ...row, seq }) === row.hash);
        if (from === undefined) found(row.seq, 'edited');
        else found(row.seq, 'moved', `holds what was row ${from}`);
      }
    },
    found,
    rows: () => count,
    faults: () => [...faults.values()].toSorted((a, b) => a.seq - b.seq),
  };
}

const SAYS = {
  edited: 'was edited: it is not what its hash says',
  deleted: 'was deleted',
  moved: 'belongs to another place',
  added: 'was added behind the end of the chain',
} as const satisfies Record<AuditFault['what'], string>;
