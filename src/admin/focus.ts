// Spending in the columns of FOCUS 1.2, the FinOps Foundation's format of bills: a row for what each key spent on a model and an endpoint
// in a day or an hour. Columns of our own begin with `x_`, as FOCUS wants it.
import type { Money } from '../domain/money.ts';
import { formatUsd } from '../domain/money.ts';
import type { SpendGroup, SpendRow } from '../ledger/ledger.ts';
import type { Cell } from './csv.ts';
import type { Names } from './names.ts';

export const FOCUS_GROUPS = ['team', 'key', 'user', 'model', 'endpoint'] as const satisfies readonly SpendGroup[];

export const FOCUS_COLUMNS = [
  'BilledCost',
  'EffectiveCost',
  'ListCost',
  'ContractedCost',
  'BillingCurrency',
  'BillingAccountId',
  'BillingAccountName',
  'BillingPeriodStart',
  'BillingPeriodEnd',
  'ChargePeriodStart',
  'ChargePeriodEnd',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargeFrequency',
  'ServiceName',
  'ServiceCategory',
  'ServiceSubcategory',
  'ProviderName',
  'PublisherName',
  'InvoiceIssuerName',
  'SubAccountId',
  'SubAccountName',
  'ResourceId',
  'ResourceName',
  'ResourceType',
  'SkuId',
  'SkuPriceId',
  'PricingCategory',
  'PricingQuantity',
  'PricingUnit',
  'ConsumedQuantity',
  'ConsumedUnit',
  'Tags',
  'x_CostState',
  'x_Endpoint',
  'x_UserId',
  'x_UserName',
  'x_Exchanges',
  'x_TokensIn',
  'x_TokensOut',
  'x_FreeExchanges',
  'x_PartialExchanges',
  'x_PendingExchanges',
  'x_UnpricedExchanges',
] as const;

type Column = (typeof FOCUS_COLUMNS)[number];
type FocusRow = Readonly<Record<Column, Cell>>;

const HOUR_MS = 3_600_000;
const VENDOR = 'OpenAI';

export interface FocusContext {
  readonly names: Names;
  /** Names the account that the upstream bills. */
  readonly account: string;
  /** Of a report on one tag. */
  readonly tag: string | undefined;
}

/** What was measured and what was estimated are rows of their own; what nobody knows the cost of has no cost, which is not 0. */
export async function focusRows(row: SpendRow, context: FocusContext): Promise<readonly FocusRow[]> {
  const { measured, estimated } = row;
  const known: [state: string, cost: Money | null][] = [];
  if (measured !== 0n || row.free > 0) known.push(['measured', measured]);
  if (estimated !== 0n) known.push(['estimated', estimated]);
  if (known.length === 0) known.push(isUnknown(row) ? ['unknown', null] : ['measured', 0n]);
  const common = await commonOf(row, context);
  // Counted once: in the first of the rows that the sums fall into.
  return known.map(([state, cost], i) => ({
    ...common,
    ...costs(cost),
    ...(i === 0 ? counts(row) : NO_COUNTS),
    x_CostState: state,
  }));
}

export function focusCells(row: FocusRow): readonly Cell[] {
  return FOCUS_COLUMNS.map((column) => row[column]);
}

function isUnknown({ pending, unpriced, partial }: SpendRow): boolean {
  return pending + unpriced + partial > 0;
}

function costs(cost: Money | null) {
  const text = cost === null ? null : formatUsd(cost);
  return { BilledCost: text, EffectiveCost: text, ListCost: text, ContractedCost: text };
}

const NO_COUNTS = {
  PricingQuantity: 0,
  ConsumedQuantity: 0,
  x_Exchanges: 0,
  x_TokensIn: 0,
  x_TokensOut: 0,
  x_FreeExchanges: 0,
  x_PartialExchanges: 0,
  x_PendingExchanges: 0,
  x_UnpricedExchanges: 0,
};

function counts(row: SpendRow): typeof NO_COUNTS {
  const { quantity } = quantityOf(row);
  return {
    PricingQuantity: quantity,
    ConsumedQuantity: quantity,
    x_Exchanges: row.exchanges,
    x_TokensIn: row.tokensIn,
    x_TokensOut: row.tokensOut,
    x_FreeExchanges: row.free,
    x_PartialExchanges: row.partial,
    x_PendingExchanges: row.pending,
    x_UnpricedExchanges: row.unpriced,
  };
}

/** What is not counted in tokens, such as images by the piece, is counted by requests. */
function quantityOf({ tokensIn, tokensOut, exchanges }: SpendRow) {
  const tokens = tokensIn + tokensOut;
  return tokens === 0 && exchanges > 0
    ? { quantity: exchanges, unit: 'Requests' }
    : { quantity: tokens, unit: 'Tokens' };
}

async function commonOf(row: SpendRow, { names, account, tag }: FocusContext) {
  const { group } = row;
  const { unit } = quantityOf(row);
  const of = (name: SpendGroup) => {
    const text = group[name];
    return typeof text !== 'string' || text === '' ? null : text;
  };
  const [keyId, teamId, userId, model, endpoint] = [of('key'), of('team'), of('user'), of('model'), of('endpoint')];
  const [key, team, user] = await Promise.all([
    keyId === null ? null : names.key(keyId),
    teamId === null ? null : names.team(teamId),
    userId === null ? null : names.user(userId),
  ]);
  const start = Number(group.hour ?? group.day);
  const end = start + (group.hour === undefined ? 24 * HOUR_MS : HOUR_MS);
  const [periodStart, periodEnd] = monthAt(start);
  const tags = new Set([...(team?.tags ?? []), ...(key?.tags ?? []), ...(tag === undefined ? [] : [tag])]);
  return {
    BillingCurrency: 'USD',
    BillingAccountId: account,
    BillingAccountName: `${VENDOR} API account at ${account}`,
    BillingPeriodStart: instantText(periodStart),
    BillingPeriodEnd: instantText(periodEnd),
    ChargePeriodStart: instantText(start),
    ChargePeriodEnd: instantText(end),
    ChargeCategory: 'Usage',
    ChargeClass: null,
    ChargeDescription: `${model ?? 'no model'} at ${endpoint ?? 'a path of no known endpoint'}`,
    ChargeFrequency: 'Usage-Based',
    ServiceName: `${VENDOR} API`,
    ServiceCategory: 'AI and Machine Learning',
    ServiceSubcategory: 'Generative AI',
    ProviderName: VENDOR,
    PublisherName: VENDOR,
    InvoiceIssuerName: VENDOR,
    SubAccountId: teamId,
    SubAccountName: team?.name ?? null,
    ResourceId: keyId,
    ResourceName: key?.name ?? null,
    ResourceType: 'Virtual key',
    SkuId: model ?? endpoint,
    SkuPriceId: model ?? endpoint,
    PricingCategory: 'Standard',
    PricingUnit: unit,
    ConsumedUnit: unit,
    Tags: JSON.stringify(Object.fromEntries([...tags].map((each) => [each, true]))),
    x_Endpoint: endpoint,
    x_UserId: userId,
    x_UserName: user?.name ?? null,
  };
}

/** The bill's month, UTC. */
function monthAt(at: number): readonly [start: number, end: number] {
  const date = new Date(at);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  return [Date.UTC(year, month), Date.UTC(year, month + 1)];
}

/** FOCUS knows no parts of seconds. */
function instantText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}
