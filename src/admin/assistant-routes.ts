// Objects of the Assistants API in and out, in the words of the contract.
import { z } from 'zod';

import { filter } from './fields.ts';
import { JSON_LINES, type Route } from './route.ts';

const team = filter('a team by its id or name');
const importQuery = z.strictObject({
  team: team.describe('Whose the objects become whose line names no team; without it the team `default`.'),
  dry_run: z
    .enum(['true', 'false'], 'write true or false')
    .optional()
    .describe('`true`: says what would happen, and writes nothing.'),
});
const exportQuery = z.strictObject({ team: team.describe('Objects of this team; without it, of all.') });

const importCounts = z.object({
  assistants: z.number(),
  threads: z.number(),
  messages: z.number(),
  items: z.number().describe('Calls, their outputs and reasoning between messages.'),
  runs: z.number(),
  steps: z.number(),
  files: z.number().describe('Files that the code interpreter wrote.'),
});
const importReport = z.object({
  dry_run: z.boolean(),
  lines: z.number(),
  created: importCounts,
  updated: importCounts,
  unchanged: importCounts,
  problems: z.array(z.object({ line: z.number(), message: z.string() })).describe('The first hundred.'),
  problem_count: z.number(),
});

export const assistantRoutes = {
  importAssistants: {
    method: 'POST',
    path: '/admin/v1/assistants/import',
    summary:
      'Brings objects of the Assistants API in, a line of JSON for each. Ids and times are kept; a second time changes nothing.',
    access: 'change',
    query: importQuery,
    body: z.string().describe('Lines such as {"type":"assistant","object":{...},"team":"web"}.'),
    bodyType: JSON_LINES,
    status: 200,
    answer: importReport,
  },
  exportAssistants: {
    method: 'GET',
    path: '/admin/v1/assistants/export',
    summary: 'Every object of the Assistants API, a line of JSON for each, as the import takes them.',
    access: 'change',
    query: exportQuery,
    status: 200,
    answer: z.string(),
    contentType: JSON_LINES,
  },
} as const satisfies Record<string, Route>;
