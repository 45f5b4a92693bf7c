// What a row of the contract is made of, and who may call it.
import type { z } from 'zod';

import type { Role } from '../domain/user.ts';

export const JSON_LINES = 'application/jsonl';
export const CSV = 'text/csv';

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** `{id}` stands for one segment. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** An absent body is read as an empty object. */
  readonly bodyOptional?: true;
  readonly status: 200 | 201;
  readonly answer: z.ZodType;
  /** Of the body, where it may be larger than others. */
  readonly bodyBytesMax?: number;
  /** Of the body, where it is no JSON: then it is read as text. */
  readonly bodyType?: typeof JSON_LINES;
  /** Of the answer, where it is no JSON. */
  readonly contentType?: string;
  /** What it answers in place of JSON where the query asks for it. */
  readonly otherType?: typeof CSV;
}

interface AccessRow {
  readonly roles: readonly Role[];
  /** Those of a team see and change nothing but what is their team's: all else is unknown to them. */
  readonly isConfined: boolean;
}

/** The operator's own token acts as an owner; a user's token as the user's role says. */
export const ACCESS = {
  any: { roles: ['owner', 'admin', 'viewer', 'team_admin', 'team_member'], isConfined: false },
  see: { roles: ['owner', 'admin', 'viewer'], isConfined: false },
  see_team: { roles: ['owner', 'admin', 'viewer', 'team_admin', 'team_member'], isConfined: true },
  change: { roles: ['owner', 'admin'], isConfined: false },
  change_team: { roles: ['owner', 'admin', 'team_admin'], isConfined: true },
  own: { roles: ['owner'], isConfined: false },
} as const satisfies Record<string, AccessRow>;

export type Access = keyof typeof ACCESS;

/** An answer of the route's other type. */
export class OtherAnswer {
  readonly type: NonNullable<Route['otherType']>;
  /** In pieces, so that a long one is never kept whole. */
  readonly pieces: AsyncIterable<string>;

  constructor(type: NonNullable<Route['otherType']>, pieces: AsyncIterable<string>) {
    this.type = type;
    this.pieces = pieces;
  }
}
