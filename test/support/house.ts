// The house rules of ARCHITECTURE.md as a program: reads the text of source files, returns what breaks a rule and the way out.
// It knows only as much TypeScript as it needs: strings and comments are set aside first, then statements are found by pattern.
import { posix } from 'node:path';

export interface Source {
  /** From the project's root with forward slashes: `src/proxy/carry.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly rule: 'floor' | 'door' | 'owner' | 'word' | 'file name' | 'barrel' | 'import' | 'head';
  /** What is wrong and the way out. */
  readonly message: string;
}

/** From the ground up. A room imports from floors below its own. */
const FLOORS: readonly (readonly string[])[] = [
  ['domain', 'config', 'telemetry'],
  [
    'keys',
    'audit',
    'limits',
    'ledger',
    'ownership',
    'estimates',
    'upstream',
    'logging',
    'openai',
    'http',
    'store',
    'sandbox',
  ],
  ['prices', 'reconciliation'],
  ['proxy', 'assistants', 'admin', 'settlement', 'self-service'],
  ['gateway'],
  ['cli'],
  ['main', 'index'],
];

/** Rooms without state, where every file may be imported from outside. All others have one door, the file that bears their name. */
const SHELVES = new Set(['domain', 'config', 'telemetry', 'http', 'openai', 'cli']);
/** Besides the door: the contract is what server, CLI and UI share. */
const SIDE_DOORS = new Set(['src/admin/contract.ts']);

interface Owner {
  readonly what: string;
  /** Files and folders that may. */
  readonly owners: readonly string[];
  readonly wayOut: string;
}

const OWNED_IMPORTS: readonly (Owner & { readonly specifier: RegExp })[] = [
  {
    what: 'node:http',
    specifier: /^(node:)?https?2?$/,
    owners: ['src/http/'],
    wayOut: 'take its types and functions from src/http/',
  },
  {
    what: 'node:tls',
    specifier: /^(node:)?tls$/,
    owners: ['src/upstream/'],
    wayOut: 'give src/upstream/upstream.ts a function for it',
  },
  {
    what: 'ws',
    specifier: /^ws$/,
    owners: ['src/http/', 'src/upstream/'],
    wayOut: 'the handshakes live in src/http/ and src/upstream/',
  },
  {
    what: 'hono',
    specifier: /^(hono|@hono)(\/|$)/,
    owners: ['src/admin/'],
    wayOut: 'only the admin API has a framework',
  },
  {
    what: 'SQL',
    specifier: /^(kysely(\/.*)?|node:sqlite|pg)$/,
    owners: ['src/store/'],
    wayOut: 'add a function to src/store/',
  },
  {
    what: 'the tokenizer',
    specifier: /^gpt-tokenizer(\/|$)/,
    owners: ['src/estimates/'],
    wayOut: 'count tokens through src/estimates/estimates.ts, in its thread',
  },
  { what: 'redis', specifier: /^ioredis$/, owners: ['src/limits/'], wayOut: 'add a function to src/limits/' },
  {
    what: 'prom-client',
    specifier: /^prom-client$/,
    owners: ['src/telemetry/'],
    wayOut: 'add the metric to src/telemetry/metrics.ts',
  },
  {
    what: 'aimock',
    specifier: /^@copilotkit\//,
    owners: ['src/sandbox/'],
    wayOut: 'the sandbox is started by src/sandbox/sandbox.ts',
  },
  { what: 'commander', specifier: /^commander$/, owners: ['src/cli/'], wayOut: 'commands live in src/cli/' },
];

const CLOCK = 'take a Clock; src/domain/clock.ts has the real one';
const RANDOM = 'use newId of src/domain/id.ts, or src/keys/token.ts for secrets';
const OWNED_CODE: readonly (Owner & { readonly code: RegExp })[] = [
  {
    what: 'process.env',
    code: /\bprocess\s*\.\s*env\b/g,
    owners: ['src/config/load.ts'],
    wayOut: 'make it a setting and take it from Config',
  },
  {
    what: 'the wall clock',
    code: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(\(\s*\)|(?!\s*\())/g,
    owners: ['src/domain/clock.ts'],
    wayOut: CLOCK,
  },
  {
    what: 'the monotonic clock',
    code: /\bperformance\s*\.\s*now\b|\bhrtime\b/g,
    owners: ['src/domain/clock.ts'],
    wayOut: CLOCK,
  },
  {
    what: 'randomness',
    code: /\bMath\s*\.\s*random\b|\b(randomBytes|randomUUID|randomInt|randomFill|randomFillSync|getRandomValues)\b/g,
    owners: ['src/domain/id.ts', 'src/keys/token.ts'],
    wayOut: RANDOM,
  },
];

const OWNED_TEXTS: readonly (Owner & { readonly text: RegExp })[] = [
  {
    what: 'SQL',
    text: /^\s*(select\s[^]*\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|create\s+(unique\s+)?(table|index)\s|alter\s+table\s|pragma\s)/i,
    owners: ['src/store/'],
    wayOut: 'add a function to src/store/',
  },
  {
    what: 'the name of a header of ours',
    text: /^x-throughway-./i,
    owners: ['src/http/headers.ts', 'src/sandbox/'],
    wayOut: 'name it in src/http/headers.ts',
  },
  {
    what: 'the name of a hop-by-hop header',
    text: /^(transfer-encoding|keep-alive|proxy-auth\S+|proxy-connection)$/i,
    // Each connection has two ends: one is served in http/, the other framed in upstream/.
    owners: ['src/http/', 'src/upstream/'],
    wayOut: 'src/http/headers.ts drops and sets them',
  },
  {
    what: "an endpoint's path",
    text: /^\/v1\/[a-z]/,
    // The sandbox answers endpoints, and the Assistants API calls some of its own accord.
    owners: ['src/openai/', 'src/sandbox/', 'src/assistants/'],
    wayOut: 'make it a row, or a column of one, in src/openai/endpoint-rows.ts',
  },
];

/** The glossary's words in brackets. */
const FORBIDDEN_WORDS: Readonly<Record<string, string>> = {
  tenant: 'say team',
  org: 'say team; for the upstream’s own, organization',
  customer: 'say team',
  provider: 'say upstream',
  backend: 'say upstream',
  transaction: 'say exchange',
  reservation: 'say hold',
  callback: 'say sink, or what it does',
  exporter: 'say sink',
  integration: 'say sink',
};
/** Words that tell nothing are no part of a file's name. */
const EMPTY_WORDS: Readonly<Record<string, string>> = {
  manager: 'say what it does',
  helper: 'say what it does',
  helpers: 'say what it does',
  util: 'say what it does',
  utils: 'say what it does',
  misc: 'find its room',
  common: 'find its room',
};
/** Allowed in longer names, but no name for a file. */
const EMPTY_FILE_NAMES = new Set([
  'handler',
  'handlers',
  'service',
  'services',
  'data',
  'info',
  'shared',
  'lib',
  'types',
]);

export function inspectHouse(sources: readonly Source[]): Finding[] {
  return sources.flatMap((source) => {
    const file = read(source);
    return [...fileName(source), ...imports(file), ...owned(file), ...words(file), ...barrel(file), ...head(source)];
  });
}

/** What the fenced block under "The house" claims to be there, folders with a slash behind. */
export function drawnPaths(markdown: string): string[] {
  const block = /^#+ The house\n+```[^\n]*\n([^]*?)^```/m.exec(markdown)?.[1];
  if (block === undefined) throw new Error('ARCHITECTURE.md has no fenced block under the heading "The house"');
  const drawn: string[] = [];
  /** The folders that are open, with the indentation of what is inside them. */
  const open: { readonly path: string; readonly indent: number }[] = [];
  for (const line of block.split('\n')) {
    const indent = line.search(/\S/);
    if (indent === -1) continue;
    while (open.length > 0 && open.at(-1)!.indent >= indent) open.pop();
    const parent = open.at(-1)?.path ?? '';
    // A folder stands alone before its story; files may stand side by side.
    const names = /^\s*([\w-]+\/|(?:[\w-]+\.[a-z]+(?:\s+|$))+)/.exec(line)?.[1]?.trim().split(/\s+/) ?? [];
    drawn.push(...names.map((name) => parent + name));
    if (!names[0]?.endsWith('/')) continue;
    const folder = parent + names[0];
    open.push({ path: folder, indent });
    // Files that the story of a folder names.
    const story = line.slice(indent + names[0].length);
    for (const [file] of story.matchAll(/(?<![\w./-])[\w-]+\.(?:ts|json|mjs)\b/g)) drawn.push(folder + file);
  }
  return drawn;
}

// What a file is called.

function fileName({ path }: Source): Finding[] {
  const find = (message: string): Finding => ({ path, line: 1, rule: 'file name', message });
  const parts = path
    .replace(/^src\//, '')
    .replace(/\.[^/]+$/, '')
    .split('/');
  const name = parts.at(-1)!;
  const findings: Finding[] = [];
  for (const part of parts) {
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(part))
      findings.push(find(`${part} is not kebab-case: lower-case words joined by dashes`));
    for (const word of part.split('-')) {
      const advice = { ...FORBIDDEN_WORDS, ...EMPTY_WORDS }[word];
      if (advice !== undefined) findings.push(find(`the word "${word}" is not one of the house: ${advice}`));
    }
  }
  if (EMPTY_FILE_NAMES.has(name))
    findings.push(find(`${name} tells nothing: name the file after the main thing in it`));
  if (name === 'index' && path !== 'src/index.ts')
    findings.push(find('no index files: import from the door or the shelf'));
  return findings;
}

// What it imports.

function imports(file: File): Finding[] {
  const room = roomOf(file.path);
  const floor = floorOf(room);
  if (floor === -1) {
    return [
      finding(
        file,
        0,
        'floor',
        `${room} stands on no floor: give it one in ARCHITECTURE.md and in test/support/house.ts`,
      ),
    ];
  }
  const findings: Finding[] = [];
  for (const { specifier, at } of importsOf(file)) {
    if (specifier === null) {
      findings.push(finding(file, at, 'import', 'an import whose target is computed cannot be checked: write it out'));
      continue;
    }
    for (const { specifier: pattern, ...owner } of OWNED_IMPORTS) {
      if (pattern.test(specifier) && !isOwner(file, owner)) findings.push(finding(file, at, 'owner', notOwner(owner)));
    }
    if (!specifier.startsWith('.')) continue;

    const target = posix.join(posix.dirname(file.path), specifier);
    if (!target.startsWith('src/')) {
      findings.push(finding(file, at, 'floor', `${specifier} is outside src/: what ships must not need what does not`));
      continue;
    }
    const message = floorBroken(room, roomOf(target));
    if (message !== null) findings.push(finding(file, at, 'floor', message));
    else if (!isDoor(room, target)) {
      const door = `src/${roomOf(target)}/${roomOf(target)}.ts`;
      findings.push(
        finding(file, at, 'door', `${target} is inside its room: import from the door, ${door}, or from domain/`),
      );
    }
  }
  return findings;
}

function floorBroken(from: string, to: string): string | null {
  if (from === to) return null;
  const [upper, lower] = [floorOf(from), floorOf(to)];
  if (lower === -1) return `${to} stands on no floor: give it one in ARCHITECTURE.md and in test/support/house.ts`;
  if (to === 'sandbox' && from !== 'gateway' && from !== 'cli') return 'only gateway.ts and cli/ start the sandbox';
  if (lower < upper) return null;
  // The two other shelves of the ground floor may read domain types; domain itself imports nothing.
  if (upper === 0 && to === 'domain') return null;
  if (lower > upper)
    return `${from} imports ${to}, which stands above it: arrows go down only; declare what you need in domain/`;
  return `${from} and ${to} stand side by side and never import each other: declare an interface in domain/ and let gateway.ts hand it over`;
}

function isDoor(from: string, target: string): boolean {
  const room = roomOf(target);
  const isAlone = !target.slice('src/'.length).includes('/');
  return from === room || isAlone || SHELVES.has(room) || SIDE_DOORS.has(target) || target === `src/${room}/${room}.ts`;
}

// What it uses that has an owner.

function owned(file: File): Finding[] {
  const findings: Finding[] = [];
  for (const { code, ...owner } of OWNED_CODE) {
    if (isOwner(file, owner)) continue;
    for (const match of file.code.matchAll(code)) findings.push(finding(file, match.index, 'owner', notOwner(owner)));
  }
  for (const { text, ...owner } of OWNED_TEXTS) {
    if (isOwner(file, owner)) continue;
    for (const { value, at } of file.strings)
      if (text.test(value)) findings.push(finding(file, at, 'owner', notOwner(owner)));
  }
  return findings;
}

function isOwner(file: File, owner: Owner): boolean {
  return owner.owners.some((path) => (path.endsWith('/') ? file.path.startsWith(path) : file.path === path));
}

function notOwner({ what, owners, wayOut }: Owner): string {
  return `${what} belongs to ${owners.join(' and ')} alone: ${wayOut}`;
}

// What it calls things.

const DECLARATION =
  /\bexport\s+(?:async\s+|abstract\s+)*(?:function\s*\*?|class|const|let)\s+([\w$]+)|\b(?:class|interface|type)\s+([\w$]+)/g;

function words(file: File): Finding[] {
  const findings: Finding[] = [];
  for (const match of file.code.matchAll(DECLARATION)) {
    const name = match[1] ?? match[2]!;
    for (const word of name.split(/(?<=[a-z0-9])(?=[A-Z])|[_$]/)) {
      const lower = word.toLowerCase();
      const advice = Object.hasOwn(FORBIDDEN_WORDS, lower) ? FORBIDDEN_WORDS[lower] : undefined;
      // A database has transactions of its own.
      if (advice === undefined || (lower === 'transaction' && file.path.startsWith('src/store/'))) continue;
      findings.push(
        finding(file, match.index, 'word', `${name} has the word "${lower}", which is not one of the house: ${advice}`),
      );
    }
  }
  return findings;
}

function barrel(file: File): Finding[] {
  if (file.path === 'src/index.ts') return [];
  const star = /\bexport\s*(?:type\s*)?\*/.exec(file.code);
  const isAll =
    file.code.replaceAll(/\bexport\s+(?:type\s+)?(?:\{[^}]*\}|\*[^"]*)\s*from\s*"\d+"\s*;?/g, '').trim() === '';
  if (star === null && (!isAll || file.code.trim() === '')) return [];
  return [
    finding(file, star?.index ?? 0, 'barrel', 'no barrel files: let users import from the file that has the thing'),
  ];
}

/** The formatter sorts imports, and a comment goes with the import that it stands on. */
function head({ path, text }: Source): Finding[] {
  const lines = text.split('\n');
  const lastImport = lines.findLastIndex((line) => line.startsWith('import '));
  const line = lines.slice(0, lastImport + 1).findIndex((each) => each.startsWith('//'));
  if (line <= 0 || !text.startsWith('import ')) return [];
  return [
    {
      path,
      line: line + 1,
      rule: 'head',
      message: 'the head of the file stands among the imports: move it to the first line',
    },
  ];
}

// The little that has to be known of TypeScript.

interface File {
  readonly path: string;
  /** Line for line the text, but comments are blank and each string is `"n"`, the nth of `strings`. */
  readonly code: string;
  /** `at`: where its marker stands in `code`. */
  readonly strings: readonly { readonly value: string; readonly at: number }[];
}

interface Import {
  /** Null where it is computed. */
  readonly specifier: string | null;
  readonly at: number;
}

const STATIC_IMPORT =
  /\b(?:import\s+[\w$*{}\s,]+?\s*from|import|export\s+(?:type\s+)?(?:\*[\w$\s]*|\{[\w$\s,]*\})\s*from)\s*"(\d+)"/g;
const DYNAMIC_IMPORT = /\b(?:import|require|getBuiltinModule)\s*\(\s*(?:"(\d+)")?/g;

function importsOf({ code, strings }: File): Import[] {
  const found = [...code.matchAll(STATIC_IMPORT), ...code.matchAll(DYNAMIC_IMPORT)];
  return found.map(({ 1: number, index }) => ({
    specifier: number === undefined ? null : strings[Number(number)]!.value,
    at: index,
  }));
}

function roomOf(path: string): string {
  return path.split('/')[1]!.replace(/\.ts$/, '');
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

function finding(file: File, at: number, rule: Finding['rule'], message: string): Finding {
  return { path: file.path, line: file.code.slice(0, at).split('\n').length, rule, message };
}

/** After these a slash begins a regular expression; after anything else it divides. */
const BEFORE_REGEXP = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|await|yield))\s*$/;

function read({ path, text }: Source): File {
  const strings: { value: string; at: number }[] = [];
  let code = '';
  /** Depth of braces inside each template that is open. */
  const templates: number[] = [];
  let at = 0;

  const blank = (until: number) => {
    code += text.slice(at, until).replaceAll(/[^\n]/g, ' ');
    at = until;
  };
  const putString = (value: string, until: number) => {
    strings.push({ value, at: code.length });
    code += `"${strings.length - 1}"` + text.slice(at, until).replaceAll(/[^\n]/g, '');
    at = until;
  };
  /** From behind a backtick or a closing brace to the end of this piece of the template. */
  const template = (from: number) => {
    let end = from;
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end)) end += text[end] === '\\' ? 2 : 1;
    const isOver = text[end] !== '$';
    putString(text.slice(from, end), end + (isOver ? 1 : 2));
    if (!isOver) templates.push(0);
  };

  while (at < text.length) {
    const here = text[at]!;
    if (text.startsWith('//', at)) blank(endOf('\n', at));
    else if (text.startsWith('/*', at)) blank(Math.min(text.length, endOf('*/', at + 2) + 2));
    else if (here === "'" || here === '"') {
      let end = at + 1;
      while (end < text.length && text[end] !== here && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1;
      putString(text.slice(at + 1, end), end + 1);
    } else if (here === '`') template(at + 1);
    else if (here === '}' && templates.at(-1) === 0) {
      templates.pop();
      template(at + 1);
    } else if (here === '/' && BEFORE_REGEXP.test(code.slice(-40))) {
      let end = at + 1;
      for (let isInClass = false; end < text.length && text[end] !== '\n' && (isInClass || text[end] !== '/'); end++) {
        if (text[end] === '\\') end++;
        else if (text[end] === '[') isInClass = true;
        else if (text[end] === ']') isInClass = false;
      }
      blank(end + 1);
    } else {
      if (here === '{' && templates.length > 0) templates[templates.length - 1]! += 1;
      if (here === '}' && templates.length > 0) templates[templates.length - 1]! -= 1;
      code += here;
      at += 1;
    }
  }
  return { path, code, strings };

  function endOf(mark: string, from: number): number {
    const end = text.indexOf(mark, from);
    return end === -1 ? text.length : end;
  }
}
