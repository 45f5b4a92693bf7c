// Makes the plainest value that fits a JSON Schema: the arguments of a tool call, the body of a structured answer.

type Schema = Readonly<Record<string, unknown>>;

/** Depth at which a schema that contains itself is cut off. */
const depthMax = 8;

/**
 * The same schema always gives the same value. `texts` holds a better text for strings of a known name.
 * Only what structured outputs allow is understood; anything else becomes a text.
 */
export function exampleOf(schema: unknown, texts: Readonly<Record<string, string>> = {}): unknown {
  return valueOf(asSchema(schema), 'value', { root: asSchema(schema), texts, depth: 0 });
}

interface Surroundings {
  readonly root: Schema;
  readonly texts: Readonly<Record<string, string>>;
  readonly depth: number;
}

function valueOf(schema: Schema, name: string, around: Surroundings): unknown {
  if (around.depth > depthMax) return null;
  if (typeof schema.$ref === 'string') {
    return valueOf(referredTo(schema.$ref, around.root), name, { ...around, depth: around.depth + 1 });
  }
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (Array.isArray(choices)) return valueOf(asSchema(choices[0]), name, around);

  switch (Array.isArray(schema.type) ? schema.type[0] : (schema.type ?? impliedType(schema))) {
    case 'object':
      return Object.fromEntries(
        Object.entries(asSchema(schema.properties)).map(([key, property]) => [
          key,
          valueOf(asSchema(property), key, { ...around, depth: around.depth + 1 }),
        ]),
      );
    case 'array': {
      const item = valueOf(asSchema(schema.items), name, { ...around, depth: around.depth + 1 });
      return Array.from({ length: typeof schema.minItems === 'number' ? Math.max(1, schema.minItems) : 1 }, () => item);
    }
    case 'integer':
    case 'number':
      return typeof schema.minimum === 'number' ? schema.minimum : 1;
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return around.texts[name] ?? `sandbox ${name}`;
  }
}

function impliedType(schema: Schema): string {
  if ('properties' in schema) return 'object';
  return 'items' in schema ? 'array' : 'string';
}

/** Follows `#/$defs/step` and the like. */
function referredTo(reference: string, root: Schema): Schema {
  const path = reference.replace(/^#\/?/, '').split('/').filter(Boolean);
  return path.reduce((place, part) => asSchema(place[part]), root);
}

function asSchema(value: unknown): Schema {
  // Checked to be an object; an index signature of unknown promises nothing about what is inside.
  return typeof value === 'object' && value !== null ? (value as Schema) : {};
}
