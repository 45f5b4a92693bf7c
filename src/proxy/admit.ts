// Whether a caller's exchange may go on. What may not is refused here, before anything goes upstream.
import type { EndpointGroup } from '../domain/endpoint.ts';
import type { Arrival } from '../domain/exchange.ts';
import type { Caller } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import { isAdministration } from '../openai/endpoints.ts';

const ADMIN_GROUP = 'admin';

/**
 * @param group that the path belongs to; undefined for a path of no known group
 * @throws Refusal
 */
export function admit(arrival: Arrival, caller: Caller, group: EndpointGroup | undefined): void {
  const { endpoints } = caller.key;
  if (group === ADMIN_GROUP || isAdministration(arrival.path)) {
    if (endpoints.includes(ADMIN_GROUP)) return;
    throw new Refusal(
      'endpoint_not_allowed',
      'This key may not administer the upstream account. The operator allows it with the endpoint group "admin"; "*" does not include it.',
      { param: 'path' },
    );
  }
  if (endpoints.includes('*')) return;
  if (group !== undefined && endpoints.includes(group)) return;
  throw new Refusal(
    'endpoint_not_allowed',
    `This key may call ${endpoints.join(', ')}; ${group === undefined ? 'this path belongs to no known group' : `this path belongs to "${group}"`}. The operator sets a key's endpoints.`,
    { param: 'path' },
  );
}
