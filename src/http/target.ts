// From a request line's target to the target that goes upstream: raw bytes, never decoded, never normalised, never a URL.
import { Refusal } from '../domain/refusal.ts';

/** Longest target in bytes: four times what browsers and proxies agree on. */
const TARGET_BYTES_MAX = 16 * 1024;

/** Longest first, so that `/openai_passthrough` is not taken for `/openai`. `/v1` is the alias for LiteLLM's own routes. */
const MOUNTS = ['/openai_passthrough', '/openai'];

/**
 * The upstream's target: `/v1` and the rest, with exactly one `/v1` in front. Null for a target below no mount.
 * @throws Refusal for a target that no upstream may see
 */
export function upstreamTarget(target: string): string | null {
  const rest = belowMount(target);
  if (rest === null) return null;
  if (target.length > TARGET_BYTES_MAX) {
    throw new Refusal(
      'target_too_long',
      `The request target has ${target.length} bytes; at most ${TARGET_BYTES_MAX} are served.`,
    );
  }
  const query = rest.indexOf('?');
  refusePathTricks(query === -1 ? rest : rest.slice(0, query));
  return startsWithSegment(rest, '/v1') ? rest : `/v1${rest}`;
}

function belowMount(target: string): string | null {
  for (const mount of MOUNTS) if (startsWithSegment(target, mount)) return target.slice(mount.length);
  return startsWithSegment(target, '/v1') ? target : null;
}

function startsWithSegment(text: string, segment: string): boolean {
  if (!text.startsWith(segment)) return false;
  const next = text.charCodeAt(segment.length);
  return Number.isNaN(next) || next === 0x2f /* / */ || next === 0x3f; /* ? */
}

/** Characters that a plain path may hold; all else is looked at twice. */
const PLAIN = /^[A-Za-z0-9_\-/:~!$&'()*+,=@]*$/;
const CONTROL = /[\u0000-\u001f\u007f]/;
const DECODINGS_MAX = 4;

/**
 * Dot segments, backslashes and control characters, raw or behind any layers of percent-encoding, would let a server
 * that normalises leave `/v1`. They are refused; any other encoding passes as it stands.
 */
function refusePathTricks(path: string): void {
  if (PLAIN.test(path)) return;
  let text = path;
  for (let i = 0; i < DECODINGS_MAX; i++) {
    if (CONTROL.test(text) || text.includes('\\') || (text.includes('#') && i === 0) || hasDotSegment(text)) {
      throw new Refusal(
        'invalid_target',
        'The path holds a dot segment, a backslash or a control character, plain or encoded. Send the path as the API documents it.',
        { param: 'path' },
      );
    }
    const decoded = percentDecode(text);
    if (decoded === text) return;
    text = decoded;
  }
}

function hasDotSegment(path: string): boolean {
  if (!path.includes('.')) return false;
  return path.split('/').some((segment) => {
    const bare = segment.split(';', 1)[0];
    return bare === '.' || bare === '..';
  });
}

/** One layer, as bytes; overlong UTF-8 forms of `.`, `/` and `\` are read as what a careless decoder takes them for. */
function percentDecode(text: string): string {
  return text
    .replaceAll(
      /%c0%(ae|af)|%c1%9c/gi,
      (match) => ({ '%c0%ae': '.', '%c0%af': '/', '%c1%9c': '\\' })[match.toLowerCase()]!,
    )
    .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The target without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/** A key in a query string ends up in logs and histories of others: it is never taken from there. */
const KEY_PARAMETERS = /[?&](api[_-]?key|key|token|access_token)=sk-/i;

export function hasKeyInQuery(target: string): boolean {
  return target.includes('?') && KEY_PARAMETERS.test(target);
}
