// Finds the row of an upstream path, and says which paths administer the upstream account. Pure: knows nothing of HTTP.
import type { Endpoint } from '../domain/endpoint.ts';
import { ENDPOINTS } from './endpoint-rows.ts';

/** The rows of one method: those without parameters by their whole path, the others by their segments. */
interface Rows {
  readonly byPath: Map<string, Endpoint>;
  readonly bySegment: Node;
}

interface Node {
  readonly literals: Map<string, Node>;
  parameter: Node | undefined;
  endpoint: Endpoint | undefined;
}

const ROWS = new Map<string, Rows>();
for (const endpoint of ENDPOINTS) insert(endpoint);

/**
 * The row that knows this request; undefined for a path that none knows, and it is relayed all the same.
 * Literal segments win over parameters: `/v1/agents/automations` is never an agent of that name.
 * @param path the upstream path as raw bytes, without its query, beginning with `/v1/`
 * @param isUpgrade asks for the WebSocket at this path, which is another row than its GET
 */
export function findEndpoint(method: string, path: string, isUpgrade = false): Endpoint | undefined {
  const rows = ROWS.get(isUpgrade ? 'websocket' : method);
  if (rows === undefined) return undefined;
  return rows.byPath.get(path) ?? descend(rows.bySegment, path, 0);
}

/** @param at where a `/` stands; what follows it is the next segment. */
function descend(node: Node, path: string, at: number): Endpoint | undefined {
  const next = path.indexOf('/', at + 1);
  const segment = path.slice(at + 1, next === -1 ? path.length : next);
  if (segment === '') return undefined;

  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = next === -1 ? literal.endpoint : descend(literal, path, next);
    if (found !== undefined) return found;
  }
  if (node.parameter === undefined) return undefined;
  return next === -1 ? node.parameter.endpoint : descend(node.parameter, path, next);
}

function insert(endpoint: Endpoint): void {
  const rows = rowsOf(endpoint.transport === 'websocket' ? 'websocket' : endpoint.method);
  if (!endpoint.path.includes('{')) {
    rows.byPath.set(endpoint.path, endpoint);
    return;
  }
  let node = rows.bySegment;
  for (const segment of endpoint.path.slice(1).split('/')) {
    node = segment.startsWith('{') ? (node.parameter ??= emptyNode()) : literalChild(node, segment);
  }
  if (node.endpoint !== undefined) throw new Error(`${endpoint.path} and ${node.endpoint.path} are one endpoint`);
  node.endpoint = endpoint;
}

function rowsOf(method: string): Rows {
  let rows = ROWS.get(method);
  if (rows === undefined) ROWS.set(method, (rows = { byPath: new Map(), bySegment: emptyNode() }));
  return rows;
}

function literalChild(node: Node, segment: string): Node {
  let child = node.literals.get(segment);
  if (child === undefined) node.literals.set(segment, (child = emptyNode()));
  return child;
}

function emptyNode(): Node {
  return { literals: new Map(), parameter: undefined, endpoint: undefined };
}

const ADMINISTRATION = ['organization', 'projects'];

/**
 * How often a path is decoded at most. An upstream decodes once; each server that stands before it may do so once more.
 */
const DECODING_LAYERS_MAX = 3;

/** Without one of these, no reading of a path can arrive at a word of ADMINISTRATION. */
const SUSPECT = /%|[^\x21-\x7e]|organization|projects/i;

/**
 * Whether this raw path, however it is spelled, reaches the administration of the upstream account if what stands
 * upstream normalises it aggressively (security S09, T13). Errs towards yes: a path is read in every way at once.
 */
export function isAdministration(path: string): boolean {
  if (!SUSPECT.test(path)) return false;
  let reading = path;
  for (let layer = 0; ; layer++) {
    if (leadsToAdministration(reading)) return true;
    const decoded = decodePercent(reading);
    if (decoded === reading || layer === DECODING_LAYERS_MAX) return false;
    reading = decoded;
  }
}

function leadsToAdministration(reading: string): boolean {
  const walked: string[] = [];
  for (const raw of likelyCompared(reading).split(/[/\\]/)) {
    const segment = raw.replace(/[;?#].*$/s, '');
    if (segment === '' || segment === '.') continue;
    if (segment === '..') walked.pop();
    else if (segment !== 'v1' || walked.length > 0) walked.push(segment);
    if (walked.length === 1 && ADMINISTRATION.includes(walked[0]!)) return true;
  }
  return false;
}

/** Lower case, full-width letters and the like as plain ones, and nothing that cannot be seen. */
function likelyCompared(reading: string): string {
  return reading
    .normalize('NFKC')
    .replace(/[\p{C}\p{Z}]/gu, '')
    .toLowerCase();
}

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** One layer of percent-encoding taken off; raw bytes above ASCII count as if they were encoded. */
function decodePercent(path: string): string {
  return path.replace(/(?:%[0-9a-f]{2}|[\x80-\xff])+/gi, (run) => {
    const bytes: number[] = [];
    for (let at = 0; at < run.length; at += run[at] === '%' ? 3 : 1) {
      bytes.push(run[at] === '%' ? Number.parseInt(run.slice(at + 1, at + 3), 16) : run.charCodeAt(at));
    }
    return UTF8.decode(Uint8Array.from(withoutOverlong(bytes)));
  });
}

/** `%c0%ae` is a dot to careless decoders: ASCII written in two bytes, which UTF-8 forbids, becomes one byte. */
function withoutOverlong(bytes: readonly number[]): number[] {
  const plain: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const [lead, next] = [bytes[at]!, bytes[at + 1]];
    const isOverlong = (lead === 0xc0 || lead === 0xc1) && next !== undefined && (next & 0xc0) === 0x80;
    plain.push(isOverlong ? ((lead & 1) << 6) | (next & 0x3f) : lead);
    if (isOverlong) at++;
  }
  return plain;
}
