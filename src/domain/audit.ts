// Who changed what, when and from where: one row for each change, chained by digests. A row holds digests of what was and what is, never a value.
import { hash } from 'node:crypto';

import type { UserId } from './id.ts';

export interface Actor {
  /** `owner` holds the operator's own token; `system` is the gateway itself. */
  readonly id: UserId | 'owner' | 'system';
  /** Where the request came from; null for the gateway itself. */
  readonly address: string | null;
}

export const SYSTEM: Actor = { id: 'system', address: null };

export type AuditKind = 'team' | 'key' | 'user' | 'budget' | 'ledger' | 'prices';

/** What is done, in one word behind the kind: `suspended`, of a key. */
export type AuditAction =
  | 'created'
  | 'updated'
  | 'rotated'
  | 'suspended'
  | 'resumed'
  | 'revoked'
  | 'deleted'
  | 'token_made'
  | 'token_revoked'
  | 'mended'
  | 'refreshed'
  | 'repriced'
  | 'adjusted';

/** Given along with a change to whoever keeps it. */
export interface Deed {
  readonly actor: Actor;
  readonly action: AuditAction;
}

export interface Change extends Deed {
  readonly kind: AuditKind;
  readonly id: string;
  /** JSON without secrets and without digests of secrets; null where there was nothing. */
  readonly before: unknown;
  readonly after: unknown;
}

export interface AuditRow {
  /** From 1 on, without gaps. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly actor: string;
  readonly address: string | null;
  readonly action: string;
  readonly kind: string;
  readonly id: string;
  /** SHA-256 of the canonical JSON, lower-case hex; null where there was nothing. */
  readonly before: string | null;
  readonly after: string | null;
  /** The hash of the row before, empty in the first. */
  readonly previous: string;
  /** SHA-256 over all other fields, lower-case hex. */
  readonly hash: string;
}

/** The last link of the chain, kept apart from it: a row that is missing at the end is missed. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

/** What stands before the first row. */
export const CHAIN_START: AuditHead = { seq: 0, hash: '' };

/** The row that a change adds behind another. */
export function sealRow(change: Change, head: AuditHead, atMs: number): AuditRow {
  const row = {
    seq: head.seq + 1,
    at: atMs,
    actor: change.actor.id,
    address: change.actor.address,
    action: change.action,
    kind: change.kind,
    id: change.id,
    before: digestOf(change.before),
    after: digestOf(change.after),
    previous: head.hash,
  };
  return { ...row, hash: hashOfRow(row) };
}

export function hashOfRow(row: Omit<AuditRow, 'hash'>): string {
  const { seq, at, actor, address, action, kind, id, before, after, previous } = row;
  return sha256([seq, at, actor, address, action, kind, id, before, after, previous]);
}

function digestOf(value: unknown): string | null {
  return value === null ? null : sha256(value);
}

function sha256(value: unknown): string {
  return hash('sha256', canonicalJson(value), 'hex');
}

/** One text for one value: members in the order of their names, absent ones left out, bigints as texts of digits. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'bigint') return `"${value}"`;
  if (Array.isArray(value)) return `[${value.map((each) => canonicalJson(each ?? null)).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  // Names are unique, so that no two compare equal.
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join()}}`;
}
