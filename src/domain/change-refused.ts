// A change of a team, key, user or budget that cannot be made as it was asked. Nothing is written then.

/**
 * - `unknown`: names something that is not there
 * - `taken`: must be unique and is not
 * - `wider`: a key may only narrow what its team allows
 * - `invalid`: has a form or value that means nothing
 * - `state`: the thing is in a state that does not allow it
 */
export type ChangeRefusedCode = 'unknown' | 'taken' | 'wider' | 'invalid' | 'state';

export class ChangeRefused extends Error {
  override readonly name: string = 'ChangeRefused';
  readonly code: ChangeRefusedCode;
  /** As JSON names it, such as `allowed_cidrs`. */
  readonly field: string;
  /** What was asked for, as a person reads it; never a secret. */
  readonly value: string;
  /** What may stand there instead, or what is not there. */
  readonly allowed: string;

  constructor(code: ChangeRefusedCode, field: string, value: string, allowed: string) {
    const shown = value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX - 3)}...` : value;
    super(
      code === 'unknown' ? `${field}: there is no ${field} "${shown}"; ${allowed}` : `${field} is ${shown}; ${allowed}`,
    );
    this.code = code;
    this.field = field;
    this.value = shown;
    this.allowed = allowed;
  }
}

const SHOWN_MAX = 100;
