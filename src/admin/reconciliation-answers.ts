// What the upstream bills beside what the ledger says, as JSON tells it.
import { type Money, formatUsd } from '../domain/money.ts';
import type { Compared, Reconciled } from '../reconciliation/reconciliation.ts';
import type { AnswerParts, Answers } from './answers.ts';
import type { Answer } from './contract.ts';
import { timeOf, timeText } from './views.ts';

const DAY_MS = 86_400_000;
const DAYS = 7;

export function reconciliationAnswers({
  reconciliation,
  audit,
  clock,
}: AnswerParts): Pick<Answers, 'reconcile' | 'adjustToBill'> {
  return {
    async reconcile({ query }) {
      const now = clock.now();
      const to = timeOf(query.to) ?? now - (now % DAY_MS);
      return view(await reconciliation.compare({ from: timeOf(query.from) ?? to - DAYS * DAY_MS, to }));
    },
    async adjustToBill({ body }, { actor }) {
      const { compared, entered } = await reconciliation.adjust({
        from: Date.parse(body.from),
        to: Date.parse(body.to),
      });
      if (entered > 0) {
        const told = { from: body.from, to: body.to, entered, drift_usd: formatUsd(compared.drift) };
        await audit.append({ actor, action: 'adjusted', kind: 'ledger', id: 'entries', before: null, after: told });
      }
      return { entered, compared: view(compared) };
    },
  };
}

function view(reconciled: Reconciled): Answer<'reconcile'> {
  const { ledger, upstream, drift } = reconciled;
  return {
    from: timeText(reconciled.from),
    to: timeText(reconciled.to),
    at: timeText(reconciled.at),
    ledger_usd: formatUsd(ledger),
    upstream_usd: formatUsd(upstream),
    drift_usd: formatUsd(drift),
    drift_percent: percent(drift, upstream),
    alert: reconciled.isAlert,
    suggested_factor: reconciled.suggestedFactor,
    rows: reconciled.rows.map(viewRow),
    projects: reconciled.projects.map(({ project, isCompared, billed }) => ({
      project_id: project,
      compared: isCompared,
      upstream_usd: formatUsd(billed),
    })),
    untold: reconciled.untold,
  };
}

function viewRow({ day, subject, ledger, upstream, drift, causes }: Compared): Answer<'reconcile'>['rows'][number] {
  return {
    day: timeText(day).slice(0, 10),
    subject,
    ledger_usd: formatUsd(ledger.measured + ledger.estimated),
    estimated_usd: formatUsd(ledger.estimated),
    upstream_usd: formatUsd(upstream.billed),
    drift_usd: formatUsd(drift),
    drift_percent: percent(drift, upstream.billed),
    ledger_requests: ledger.requests,
    upstream_requests: upstream.requests,
    ledger_tokens: ledger.tokens,
    upstream_tokens: upstream.tokens,
    unpriced: ledger.unpriced + ledger.partial,
    pending: ledger.pending,
    line_items: [...upstream.items].map(([line_item, { part, amount }]) => {
      const known = part === null ? undefined : ledger.parts.get(part);
      return { line_item, upstream_usd: formatUsd(amount), ledger_usd: known === undefined ? null : formatUsd(known) };
    }),
    causes,
  };
}

/** To two digits behind the point. */
function percent(part: Money, of: Money): number | null {
  return of === 0n ? null : Number((part * 1_000_000n) / of) / 10_000;
}
