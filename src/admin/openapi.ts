// The contract as an OpenAPI document.
import { z } from 'zod';

import { ACCESS, type Route, errorSchema, litellmRoutes, routes } from './contract.ts';

type JsonSchema = Record<string, unknown>;

export function openApiDocument(version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [name, route] of Object.entries(routes)) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(name, route);
  }
  for (const [name, route] of Object.entries(litellmRoutes)) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = { tags: ['litellm'], ...operation(name, route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Throughway admin API', version },
    security: [{ adminToken: [] }],
    components: { securitySchemes: { adminToken: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
}

function operation(name: string, route: Route) {
  return {
    operationId: name,
    summary: route.summary,
    'x-roles': ACCESS[route.access].roles,
    parameters: [...pathParameters(route.path), ...queryParameters(route.query)],
    ...(route.body && {
      requestBody: {
        required: route.bodyOptional !== true,
        content: { [route.bodyType ?? 'application/json']: { schema: jsonSchema(route.body) } },
      },
    }),
    responses: {
      [route.status]: {
        description: 'As asked.',
        content: {
          [route.contentType ?? 'application/json']: { schema: jsonSchema(route.answer) },
          ...(route.otherType && { [route.otherType]: { schema: { type: 'string' } } }),
        },
      },
      default: { description: 'Refused.', content: { 'application/json': { schema: jsonSchema(errorSchema) } } },
    },
  };
}

function pathParameters(path: string) {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodType | undefined) {
  if (query === undefined) return [];
  const { properties = {} } = jsonSchema(query) as { properties?: Record<string, JsonSchema> };
  return Object.entries(properties).map(([name, { description, pattern, ...schema }]) => ({
    name,
    in: 'query',
    ...(description !== undefined && { description }),
    // The pattern of a number is that of its text.
    schema: schema['type'] === 'integer' || pattern === undefined ? schema : { ...schema, pattern },
  }));
}

/** What goes in, and what comes out as its readers may rely on it: unknown members of an answer are to be ignored. */
function jsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}
