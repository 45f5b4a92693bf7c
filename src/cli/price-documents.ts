// Where prices are read for a refresh: this command fetches or reads them, so that a gateway needs no way out for prices.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface PriceDocuments {
  readonly url: string;
  readonly documents: readonly { readonly name: string; readonly text: string }[];
}

const OPENAI = 'https://developers.openai.com/api/docs/pricing.md';
const NAMED: Readonly<Record<string, string>> = {
  openai: OPENAI,
  litellm: 'https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json',
  genai: 'https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/data.json',
};
const FETCH_MS = 30_000;
const PAGES_MAX = 100;

/** @param from `openai`, `litellm`, `genai`, a URL, a file, or a directory of pages. @throws Error that says what to do */
export async function readPriceDocuments(from: string): Promise<PriceDocuments> {
  const url = NAMED[from] ?? (/^https?:\/\//.test(from) ? from : null);
  if (url === null) return { url: from, documents: readFiles(from) };
  const first = await fetchPage(url);
  // The page of all prices names pages of single models, which say more.
  const others = from === 'openai' ? await modelPages(first.text) : [];
  return { url: first.name, documents: [first, ...others] };
}

async function modelPages(text: string): Promise<PriceDocuments['documents']> {
  const links = [
    ...text.matchAll(/\]\((?:https:\/\/developers\.openai\.com)?(\/api\/docs\/models\/[a-z0-9][\w.-]*)\)/g),
  ];
  const paths = [...new Set(links.map(([, path]) => path!.replace(/\.md$/, '')))].slice(0, PAGES_MAX);
  const pages: { name: string; text: string }[] = [];
  for (const path of paths) {
    const url = new URL(`${path}.md`, OPENAI).href;
    try {
      pages.push(await fetchPage(url));
    } catch (error) {
      process.stderr.write(
        `throughway: ${error instanceof Error ? error.message : String(error)}; going on without it\n`,
      );
    }
  }
  return pages;
}

async function fetchPage(url: string): Promise<{ name: string; text: string }> {
  const name = withoutSecrets(url);
  try {
    const reply = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) });
    if (!reply.ok) throw new Error(`it answers ${reply.status}`);
    return { name, text: await reply.text() };
  } catch (cause) {
    const why = (cause instanceof Error ? cause.message : String(cause)).replaceAll(url, name);
    throw new Error(`${name} cannot be read: ${why}; save it to a file elsewhere and name that with --from`);
  }
}

/** What is handed on is kept as the source of the prices, and told: a name with a password and the key of a signed link stay here. */
function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? url : parsed.origin + parsed.pathname;
}

function readFiles(from: string): PriceDocuments['documents'] {
  try {
    if (!statSync(from).isDirectory()) return [{ name: from, text: readFileSync(from, 'utf8') }];
    const files = readdirSync(from, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.md'));
    return files
      .toSorted()
      .map((file) => ({ name: file.replaceAll('\\', '/'), text: readFileSync(join(from, file), 'utf8') }));
  } catch (cause) {
    throw new Error(
      `${from} cannot be read; name a file, a directory of pages, a URL, or one of openai, litellm, genai with --from`,
      { cause },
    );
  }
}

/**
 * That these are the pages which somebody else looked at: of one document the SHA-256 of its bytes; of several that of the lines which
 * `sha256sum` writes of them, in the order of their names.
 * @throws Error that tells both
 */
export function checkDigest({ documents }: PriceDocuments, expected: string): void {
  const [first, ...others] = documents;
  const lines = documents.map(({ name, text }) => `${sha256(text)}  ${name}\n`);
  const found = first !== undefined && others.length === 0 ? sha256(first.text) : sha256(lines.join(''));
  if (found === expected.trim().toLowerCase()) return;
  throw new Error(
    `what was read has the SHA-256 ${found}, not ${expected}; nothing was done with it: look at it, then name that digest with --sha256`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
