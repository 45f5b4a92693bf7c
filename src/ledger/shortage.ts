// What a caller is told whose budget has not enough left: which one, what is spent, and when it begins anew.
import { type Budget, limitAt, unitOf } from '../domain/budget.ts';
import { formatUsd } from '../domain/money.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Shortage } from './book.ts';
import { resetsAt } from './windows.ts';

export function refusalOf({ want, spent, held }: Shortage, at: number): Refusal {
  const { budget } = want.bound;
  const unit = unitOf(budget);
  const told = (amount: bigint) => (unit === 'money' ? `${formatUsd(amount)} USD` : `${amount} tokens`);
  const reset = resetsAt(budget, at);
  const message = [
    `The budget ${budget.id} of ${ownerOf(budget)} has not enough left: ${told(limitAt(budget, at))} ${windowOf(budget)},`,
    `of which ${told(spent)} are spent and ${told(held)} are set aside for requests that run now.`,
    want.isUnknown ? '' : `This request may need ${told(want.amount)}.`,
    reset === null ? '' : `It begins anew at ${new Date(reset).toISOString()}.`,
    want.isUnknown ? '' : 'A smaller max_completion_tokens sets less aside.',
    'The operator may raise the budget.',
  ];
  const details = reset === null ? {} : { retryAfterMs: Math.max(1000, reset - at) };
  return new Refusal('insufficient_quota', message.filter((part) => part !== '').join(' '), details);
}

/** Where the store that replicas share budgets in does not answer: nobody spends unseen. */
export function undecidedRefusal(cause: unknown): Refusal {
  const message =
    'The gateway cannot reach the store of its budgets now, and this key has a budget that must not be overrun. Try again in a moment.';
  return new Refusal('overloaded', message, { retryAfterMs: 1000, cause });
}

function ownerOf({ scope, keyId, teamId, userId, model, tag }: Budget): string {
  switch (scope) {
    case 'key':
      return `the key ${keyId}`;
    case 'team':
      return `the team ${teamId}`;
    case 'user':
      return `the user ${userId}`;
    case 'end_user':
      return 'this end user';
    case 'model':
      return `the model ${model}`;
    case 'tag':
      return `the tag ${tag}`;
    case 'global':
      return 'the whole gateway';
  }
}

function windowOf({ window, isRolling }: Budget): string {
  if (window === 'total') return 'in all';
  return isRolling ? `in any ${window === 'month' ? '30 days' : window}` : `per ${window}`;
}
