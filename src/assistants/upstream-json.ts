// Reads what an upstream sent as far as it can be read: a member that is missing, or of another type, is null and never an error.

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
}

/** Null for text that is no JSON, or JSON that is no object. */
export function parseObject(text: string): JsonObject | null {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return null;
  }
}

export function stringIn(object: JsonObject | null, name: string): string | null {
  const value = object?.[name];
  return typeof value === 'string' ? value : null;
}

export function numberIn(object: JsonObject | null, name: string): number | null {
  const value = object?.[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function objectIn(object: JsonObject | null, name: string): JsonObject | null {
  return asObject(object?.[name]);
}

/** The objects of an array; what else stands in it is passed over. */
export function objectsIn(object: JsonObject | null, name: string): readonly JsonObject[] {
  const value = object?.[name];
  return Array.isArray(value) ? value.map(asObject).filter((item) => item !== null) : [];
}

export function stringsIn(object: JsonObject | null, name: string): readonly string[] {
  const value = object?.[name];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}
