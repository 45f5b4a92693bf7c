// Whether a caller's exchange may go on: from where, to which endpoint, with which model. What may not is refused here, before
// anything goes upstream. Where a key is restricted and the thing to check cannot be established, that is a no.
import type { Endpoint, EndpointGroup } from '../domain/endpoint.ts';
import type { Arrival } from '../domain/exchange.ts';
import type { RequestFacts } from '../domain/facts.ts';
import type { Caller } from '../domain/key.ts';
import { Refusal } from '../domain/refusal.ts';
import { mayCallEndpoint, mayCallFrom, mayCallModel } from '../keys/keys.ts';
import { isAdministration } from '../openai/endpoints.ts';
import { findModelsInFrame } from '../openai/frames.ts';

const ADMIN_GROUP = 'admin';

/**
 * @param group that the path belongs to; undefined for a path of no known group, `everybody` where each key may ask
 * @throws Refusal
 */
export function admit(arrival: Arrival, caller: Caller, group: EndpointGroup | 'everybody' | undefined): void {
  const { method, path, endpoint, clientAddress } = arrival;
  if (!mayCallFrom(caller, clientAddress)) {
    throw new Refusal(
      'address_not_allowed',
      `This key may not be used from ${clientAddress}. The operator sets a key's allowed_cidrs.`,
    );
  }
  if (group === 'everybody') return;
  const known = isAdministration(path) ? ADMIN_GROUP : group;
  if (mayCallEndpoint(caller, endpoint, known, method, path)) return;
  throw new Refusal('endpoint_not_allowed', endpointMessage(caller, known), { param: 'path' });
}

function endpointMessage({ key, team }: Caller, group: EndpointGroup | undefined): string {
  if (group === ADMIN_GROUP) {
    return 'This key may not administer the upstream account. The operator allows it with the endpoint group "admin"; "*" does not include it.';
  }
  const allowed = `This key may call ${key.endpoints.join(', ')}, its team ${team.endpoints.join(', ')}`;
  const belongs = group === undefined ? 'this path belongs to no known group' : `this path belongs to "${group}"`;
  return `${allowed}; ${belongs}. The operator sets the endpoints of keys and teams.`;
}

/** Whether some models are closed to this caller: then its requests are read until their model is known. */
function isModelRestricted(caller: Caller): boolean {
  return !mayCallModel(caller, null);
}

/**
 * @param model as the request names it, null where it was not found
 * @param facts null for a request without a body that is read
 * @throws Refusal
 */
export function admitModel(
  { method, endpoint }: Arrival,
  caller: Caller,
  model: string | null,
  facts: RequestFacts | null,
): void {
  if (model !== null && facts?.hasDuplicates !== true) {
    if (mayCallModel(caller, model)) return;
    throw notAllowed(modelMessage(caller, model));
  }
  if (!isModelRestricted(caller) || (facts?.hasDuplicates !== true && !callsModel(method, endpoint))) return;
  throw notAllowed(unknownMessage(caller, endpoint, facts));
}

/** Whether more of the body must be read before it is known which model it calls. */
export function mustBeRead({ method, endpoint }: Arrival, caller: Caller, facts: RequestFacts): boolean {
  return !facts.isWhole && facts.isReadable && isModelRestricted(caller) && callsModel(method, endpoint);
}

/**
 * Of a WebSocket: the model that its handshake names, or else those that its frames will name.
 * @throws Refusal
 */
export function admitSocketModel(arrival: Arrival, caller: Caller, facts: RequestFacts): void {
  const isNamedInFrames = arrival.endpoint?.group === FRAME_GROUP && facts.model === null;
  if (!isNamedInFrames) admitModel(arrival, caller, facts.model, facts);
}

/** Each frame of its clients that asks for a response names a model. */
const FRAME_GROUP: EndpointGroup = 'responses';
const ASKS_FOR_RESPONSE = Buffer.from('response.create');

/** Looks at the frames of a client that may not call all models; null for one that may. */
export function frameCheck({ endpoint }: Arrival, caller: Caller): ((frame: Buffer) => Refusal | null) | null {
  if (!isModelRestricted(caller)) return null;
  return (frame) => {
    const models = findModelsInFrame(frame);
    if (models === 'unreadable')
      return notAllowed('This key may not call all models, and which one this frame names cannot be told.');
    const closed = models.find((model) => !mayCallModel(caller, model));
    if (closed !== undefined) return notAllowed(modelMessage(caller, closed));
    const isUnnamed = models.length === 0 && endpoint?.group === FRAME_GROUP && frame.includes(ASKS_FOR_RESPONSE);
    return isUnnamed ? notAllowed('This key may not call all models, and this frame names none.') : null;
  };
}

function notAllowed(message: string): Refusal {
  return new Refusal('model_not_allowed', message, { param: 'model' });
}

/** Its model is named elsewhere than in this request: in a file, in a session, in what was made before. */
const INDIRECT_GROUPS = new Set<EndpointGroup>([
  'agents',
  'batches',
  'chatkit',
  'evals',
  'fine_tuning',
  'live',
  'realtime',
  'responses',
  'videos',
]);

/** Whether a request sets a model to work that somebody chose. */
function callsModel(method: string, endpoint: Endpoint | undefined): boolean {
  if (endpoint === undefined) return method !== 'GET' && method !== 'HEAD' && method !== 'DELETE';
  if (endpoint.billing === 'free' || endpoint.billing === 'repeated') return false;
  return endpoint.modelIn !== null || INDIRECT_GROUPS.has(endpoint.group);
}

function modelMessage({ key, team }: Caller, model: string): string {
  return `This key may not call the model "${model.slice(0, 100)}". It may call ${key.models.join(', ')}, its team ${team.models.join(', ')}. The operator sets the models of keys and teams.`;
}

function unknownMessage({ key }: Caller, endpoint: Endpoint | undefined, facts: RequestFacts | null): string {
  return `This key may call ${key.models.join(', ')} only, and ${whyUnknown(endpoint, facts)}. Nothing was sent upstream.`;
}

function whyUnknown(endpoint: Endpoint | undefined, facts: RequestFacts | null): string {
  if (facts?.hasDuplicates) return 'the request names a member twice that decides which model is called';
  if (facts !== null && !facts.isReadable) return 'the request body is compressed or of a form that is not read';
  if (facts !== null && !facts.isWhole) return 'the request body is too large to look for its model';
  if (endpoint !== undefined && endpoint.modelIn === null)
    return 'this endpoint calls models that its request does not name';
  return 'the request names no model';
}
