// OpenAI's own description of the Assistants API, as a judge of replies. It stands beside the repository, not in it.
import { readFileSync } from 'node:fs';

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'yaml';

const FILE = new URL('../../../shared/data/openapi.yaml', import.meta.url);

export interface Description {
  /** What is wrong with a reply of this operation; null where nothing is. @param path the template, below `/v1` */
  judgeReply(method: string, path: string, body: unknown): string | null;
  judgeEvent(event: string, data: unknown): string | null;
}

type Schema = Record<string, unknown>;

/** Where the description and the wire are known to differ (reference: assistants 7.1). Nothing else is forgiven. */
const DIFFERENCES: Readonly<Record<string, (schema: Schema) => Schema>> = {
  // Runs inherit up to 128 tools from their assistants; 20 is the limit of what a run may name.
  RunObject: (schema) => {
    const { tools, ...properties } = schema['properties'] as Record<string, Schema>;
    const { maxItems: _maxItems, ...unbounded } = tools as Schema;
    return { ...schema, properties: { ...properties, tools: unbounded } };
  },
  // SDKs read only `data.error`.
  ErrorEvent: (schema) => {
    const properties = schema['properties'] as Record<string, Schema>;
    const data = { type: 'object', properties: { error: properties['data'] }, required: ['error'] };
    return { ...schema, properties: { ...properties, data } };
  },
};
/** Empty lists have no first and no last object. */
const NULL_ON_EMPTY_LISTS = ['first_id', 'last_id'];

/** Null, said aloud once, where the description is absent. */
export function readDescription(): Description | null {
  let text: string;
  try {
    text = readFileSync(FILE, 'utf8');
  } catch {
    process.stderr.write(
      '\n*** SKIPPED: replies are not judged by OpenAI’s description, which is not beside this repository\n\n',
    );
    return null;
  }
  return description(parse(text) as Parts);
}

interface Parts {
  readonly components: { readonly schemas: Record<string, Schema> };
  readonly paths: Record<
    string,
    Record<string, { readonly responses?: Record<string, { content?: Record<string, { schema: Schema }> }> }>
  >;
}

function description({ components, paths }: Parts): Description {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  const added = new Set<string>();
  const compiled = new Map<string, ValidateFunction>();

  /** Adds a schema of the description with all that it refers to. */
  const add = (name: string): void => {
    if (added.has(name)) return;
    added.add(name);
    const found = components.schemas[name];
    if (found === undefined) throw new Error(`the description has no schema ${name}`);
    ajv.addSchema(readable(DIFFERENCES[name]?.(found) ?? found, add), name);
  };

  const judge = (key: string, schema: Schema, value: unknown): string | null => {
    let validate = compiled.get(key);
    if (validate === undefined) {
      validate = ajv.compile(readable(schema, add));
      compiled.set(key, validate);
    }
    return validate(value) ? null : `${ajv.errorsText(validate.errors)} in ${JSON.stringify(value).slice(0, 2000)}`;
  };

  return {
    judgeReply(method, path, body) {
      const schema = paths[path]?.[method.toLowerCase()]?.responses?.['200']?.content?.['application/json']?.schema;
      if (schema === undefined) throw new Error(`the description has no reply of ${method} ${path}`);
      return judge(`${method} ${path}`, schema, body);
    },
    judgeEvent: (event, data) => judge('event', { $ref: '#/components/schemas/AssistantStreamEvent' }, { event, data }),
  };
}

/** In the words of JSON Schema: `nullable` is a word of OpenAPI 3.0 that stands in this 3.1 description all the same. */
function readable(node: unknown, refer: (name: string) => void): Schema {
  return walk(node) as Schema;

  function walk(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    const { nullable, $ref, ...rest } = value as Schema;
    const schema = Object.fromEntries(
      Object.entries(rest).map(([key, member]) => [key, key === 'properties' ? properties(member) : walk(member)]),
    );
    if (typeof $ref === 'string') {
      const name = $ref.replace('#/components/schemas/', '');
      refer(name);
      schema['$ref'] = name;
    }
    if (nullable !== true) return dropNullable(schema);
    return { anyOf: [dropNullable(schema), { type: 'null' }] };
  }

  function properties(value: unknown): Schema {
    const members = Object.entries(value as Schema).map(([name, member]) => {
      const schema = walk(member);
      return [name, NULL_ON_EMPTY_LISTS.includes(name) ? { anyOf: [schema, { type: 'null' }] } : schema];
    });
    return Object.fromEntries(members) as Schema;
  }
}

/** `allOf: [$ref, {nullable: true}]` means "or null" as well. */
function dropNullable(schema: Schema): Schema {
  const all = schema['allOf'];
  if (!Array.isArray(all)) return schema;
  const isNull = (part: Schema) =>
    Array.isArray(part['anyOf']) && Object.keys((part['anyOf'] as Schema[])[0] ?? {}).length === 0;
  const kept = (all as Schema[]).filter((part) => !isNull(part));
  return kept.length === all.length ? schema : { anyOf: [{ ...schema, allOf: kept }, { type: 'null' }] };
}
