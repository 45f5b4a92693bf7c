// The one file that may change what a client sent. So far that is one header; bodies pass untouched.

const ASSISTANTS_PATH = /^\/v1\/(assistants|threads)(\/|$)/;

/** The Assistants API answers nobody without its beta header: added where the client sent none. */
export function amendHeaders(path: string, headers: string[]): void {
  if (!ASSISTANTS_PATH.test(path)) return;
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === 'openai-beta') return;
  headers.push('openai-beta', 'assistants=v2');
}
