// How teams, keys and users go from one status to another, and from which they cannot.
import type { AuditAction } from '../domain/audit.ts';
import { ChangeRefused } from '../domain/change-refused.ts';

type Status = 'active' | 'suspended' | 'revoked' | 'deleted';

interface Move {
  readonly from: readonly Status[];
  readonly to: Status;
  readonly action: AuditAction;
}

export const MOVES = {
  suspend: { from: ['active'], to: 'suspended', action: 'suspended' },
  resume: { from: ['suspended'], to: 'active', action: 'resumed' },
  revoke: { from: ['active', 'suspended'], to: 'revoked', action: 'revoked' },
  delete: { from: ['active', 'suspended', 'revoked'], to: 'deleted', action: 'deleted' },
} as const satisfies Record<string, Move>;

/** @returns the very same where it is there already. @throws ChangeRefused from a status that leads elsewhere */
export function moved<T extends { readonly status: Status }, M extends Move>(thing: T, move: M): T {
  if (thing.status === move.to) return thing;
  if (move.from.includes(thing.status)) return { ...thing, status: move.to };
  throw new ChangeRefused(
    'state',
    'status',
    thing.status,
    `only what is ${move.from.join(' or ')} can become ${move.to}`,
  );
}

/** @throws ChangeRefused for what is over: revoked or deleted */
export function checkAlive({ status }: { readonly status: Status }): void {
  if (status === 'active' || status === 'suspended') return;
  throw new ChangeRefused('state', 'status', status, 'only what is active or suspended can be changed');
}

/** What was said of a change, without what was left unsaid. */
export function saidOf<T extends object>(changes: T): { [N in keyof T]?: Exclude<T[N], undefined> } {
  const said = Object.entries(changes).filter(([, value]) => value !== undefined);
  // Only undefined members were taken away.
  return Object.fromEntries(said) as { [N in keyof T]?: Exclude<T[N], undefined> };
}
