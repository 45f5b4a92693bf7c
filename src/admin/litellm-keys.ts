// LiteLLM's /key/*.
import type { Clock } from '../domain/clock.ts';
import { Refusal } from '../domain/refusal.ts';
import type { BodyOf } from './contract.ts';
import { changedBudgets, mainBudget, newBudgets } from './litellm-budgets.ts';
import { after } from './litellm-durations.ts';
import type { KeyView, Lookup } from './litellm-lookup.ts';
import { LitellmReply } from './litellm-reply.ts';
import { UNNAMED, keyInfo, spentBy } from './litellm-views.ts';
import { endpointsOf, expiryOf, limitsOf, modelsOf, momentOf, tagsOf } from './litellm-written.ts';
import type { LitellmAnswers, LitellmCall } from './litellm.ts';
import { saidOf } from './views.ts';

type KeyNames =
  | 'litellmGenerateKey'
  | 'litellmUpdateKey'
  | 'litellmFindKey'
  | 'litellmListKeys'
  | 'litellmBlockKey'
  | 'litellmUnblockKey'
  | 'litellmDeleteKeys'
  | 'litellmRegenerateKey'
  | 'litellmRegenerateNamedKey';
type NewKey = LitellmCall<'litellmGenerateKey'>['body'];
type ChangedKey = Partial<LitellmCall<'litellmUpdateKey'>['body']>;

export function litellmKeys(clock: Clock): Pick<LitellmAnswers, KeyNames> {
  const regenerate = async (named: string, body: LitellmCall<'litellmRegenerateKey'>['body'], look: Lookup) => {
    const key = await look.key(named);
    const { new_key: token, grace_period, key: _key, ...changes } = body;
    if (typeof token === 'string') await look.checkNewToken(token);
    const unsupported = await change(key, changes, look, clock);
    const graceMs = typeof grace_period === 'string' ? (after(grace_period, 0) ?? 0) : 0;
    const rotation = { grace_seconds: graceMs / 1000, ...(typeof token === 'string' && { token }) };
    const rotated = await look.ask('rotateKey', { id: key.id, body: rotation });
    return new LitellmReply({ ...(await viewOne(rotated.key, look)), key: rotated.token }, unsupported);
  };
  const move = (how: 'suspendKey' | 'resumeKey') => async (named: string, look: Lookup) => {
    const { id } = await look.key(named);
    return new LitellmReply(await viewOne(await look.ask(how, { id }), look));
  };
  const [block, unblock] = [move('suspendKey'), move('resumeKey')];

  return {
    async litellmGenerateKey({ body }, look) {
      const { key, token, unsupported } = await makeKey(body, look, clock);
      return new LitellmReply({ ...(await viewOne(key, look)), key: token }, unsupported);
    },
    async litellmUpdateKey({ body: { key: named, ...changes } }, look) {
      const key = await look.key(named);
      const unsupported = await change(key, changes, look, clock);
      const after = await look.ask('findKey', { id: key.id });
      return new LitellmReply({ ...(await viewOne(after, look)), key: key.id }, unsupported);
    },
    async litellmFindKey({ query }, look) {
      const key = await look.key(query.key);
      return new LitellmReply({ key: key.id, info: await viewOne(key, look) });
    },
    async litellmListKeys({ query }, look) {
      const { page = 1, size = 10, key_alias, key_hash } = query;
      const team_id = query.team_id === undefined ? undefined : (await look.team(query.team_id)).id;
      const user_id = query.user_id === undefined ? undefined : (await look.user(query.user_id)).id;
      const only = key_hash === undefined ? undefined : (await look.key(key_hash)).id;
      const found = (await look.keys(saidOf({ team_id, user_id }))).filter(
        ({ id, name }) => (only ?? id) === id && (key_alias ?? name) === name,
      );
      const shown = found.slice((page - 1) * size, page * size);
      const isWhole = /^true$/i.test(query.return_full_object ?? '');
      const spent = isWhole ? await spentBy(look, 'key', shown) : () => 0;
      const keys = isWhole
        ? await Promise.all(shown.map((key) => keyInfo(key, look, spent)))
        : shown.map(({ id }) => id);
      const total_pages = Math.ceil(found.length / size);
      return new LitellmReply({ keys, total_count: found.length, current_page: page, total_pages });
    },
    litellmBlockKey: ({ body }, look) => block(body.key, look),
    litellmUnblockKey: ({ body }, look) => unblock(body.key, look),
    async litellmDeleteKeys({ body: { keys, key_aliases } }, look) {
      // All are looked for before the first is deleted.
      const found =
        keys === undefined ? await keysOfNames(key_aliases ?? [], look) : await Promise.all(keys.map(look.key));
      const ids = [...new Set(found.map(({ id }) => id))];
      for (const id of ids) await look.ask('deleteKey', { id });
      return new LitellmReply({ deleted_keys: ids });
    },
    async litellmRegenerateKey({ body }, look) {
      if (typeof body.key === 'string') return regenerate(body.key, body, look);
      throw new Refusal('bad_request', 'key is missing; name a key by its token, its hash or its id.', {
        param: 'key',
      });
    },
    litellmRegenerateNamedKey: ({ id, body }, look) => regenerate(id, body, look),
  };
}

/** Also for the key that is made along with a user. */
export async function makeKey(body: NewKey, look: Lookup, clock: Clock) {
  const { metadata, key: token } = body;
  const user = typeof body.user_id === 'string' ? (await look.user(body.user_id)).id : undefined;
  const made = await look.ask('createKey', {
    body: saidOf({
      name: body.key_alias ?? UNNAMED,
      team: body.team_id ?? undefined,
      user,
      models: modelsOf(body.models),
      endpoints: endpointsOf(body.allowed_routes),
      limits: limitsOf(body),
      metadata: metadata ?? undefined,
      tags: tagsOf(body.tags, metadata),
      expires_at: expiryOf(body.duration, clock.now()),
      budgets: newBudgets(body),
      token: token ?? undefined,
    }) as BodyOf<'createKey'>,
  });
  const key = body.blocked === true ? await look.ask('suspendKey', { id: made.key.id }) : made.key;
  return { key, token: made.token, unsupported: idleDuration(body, key) };
}

/** A period without a budget is of no use: it is named as unsupported. */
function idleDuration(
  { budget_duration }: Pick<NewKey, 'budget_duration'>,
  { budgets }: Pick<KeyView, 'budgets'>,
): string[] {
  const isIdle = typeof budget_duration === 'string' && budgets.every(({ window }) => window === 'total');
  return isIdle ? ['budget_duration'] : [];
}

/** All that can be refused is looked at before anything is written. @returns fields that did nothing */
async function change(key: KeyView, body: ChangedKey, look: Lookup, clock: Clock): Promise<string[]> {
  const { metadata, temp_budget_increase: increase, temp_budget_expiry: expiry, budget_limits, ...limits } = body;
  if (typeof body.team_id === 'string' && (await look.team(body.team_id)).id !== key.team_id) {
    const message = 'team_id names another team; a key stays with its team: make a new one.';
    throw new Refusal('bad_request', message, { param: 'team_id' });
  }
  checkIncrease(
    increase,
    expiry,
    typeof body.max_budget === 'number' || (body.max_budget === undefined && hasMain(key)),
  );
  const until = typeof expiry === 'string' ? momentOf(expiry, clock.now()) : null;
  const budgets = changedBudgets({ ...limits, temp_budget_increase: increase }, 'key', key.budgets, until);
  const user = typeof body.user_id === 'string' ? (await look.user(body.user_id)).id : body.user_id;
  const changes = saidOf({
    name: body.key_alias ?? undefined,
    user,
    models: modelsOf(body.models),
    endpoints: endpointsOf(body.allowed_routes),
    limits: limitsOf(body),
    metadata: metadata ?? undefined,
    tags: tagsOf(body.tags, metadata),
    expires_at: expiryOf(body.duration, clock.now()),
  }) as BodyOf<'updateKey'>;
  if (Object.keys(changes).length > 0) await look.ask('updateKey', { id: key.id, body: changes });
  for (const each of budgets.changed) await look.ask('updateBudget', each);
  for (const each of budgets.made) await look.ask('createBudget', { body: { ...each, key_id: key.id } });
  for (const id of budgets.removed) await look.ask('deleteBudget', { id });
  if (typeof body.blocked === 'boolean') await look.ask(body.blocked ? 'suspendKey' : 'resumeKey', { id: key.id });
  const isIdle = typeof body.budget_duration === 'string' && !hasMain(key) && budgets.made.length === 0;
  return [...(isIdle ? ['budget_duration'] : []), ...((budget_limits?.length ?? 0) > 0 ? ['budget_limits'] : [])];
}

function hasMain({ budgets }: KeyView): boolean {
  return mainBudget(budgets, 'key') !== undefined;
}

function checkIncrease(
  increase: number | null | undefined,
  expiry: string | null | undefined,
  hasBudget: boolean,
): void {
  const [hasIncrease, hasExpiry] = [typeof increase === 'number', typeof expiry === 'string'];
  if (hasIncrease !== hasExpiry) {
    const [given, absent] = hasIncrease
      ? ['temp_budget_increase', 'temp_budget_expiry']
      : ['temp_budget_expiry', 'temp_budget_increase'];
    throw new Refusal('bad_request', `${absent} is missing; give it together with ${given}.`, { param: absent });
  }
  if (!hasIncrease || hasBudget) return;
  const message = 'temp_budget_increase raises max_budget, and this key has none; give max_budget too.';
  throw new Refusal('bad_request', message, { param: 'temp_budget_increase' });
}

async function keysOfNames(names: readonly string[], look: Lookup): Promise<KeyView[]> {
  const all = await look.keys({});
  return names.flatMap((name) => {
    const those = all.filter((key) => key.name === name);
    if (those.length > 0) return those;
    throw new Refusal('not_found', `There is no key of the key_alias "${name}".`, { param: 'key_aliases' });
  });
}

async function viewOne(key: KeyView, look: Lookup) {
  return keyInfo(key, look, await spentBy(look, 'key', [key]));
}
