// Assistants: made, read, changed, listed, deleted.
import type { AssistantStore } from '../domain/assistant-store.ts';
import type { Assistant, AssistantId } from '../domain/assistants.ts';
import { type TeamId, newObjectId } from '../domain/id.ts';
import * as errors from './api-error.ts';
import { type Desk, type Operation, object, secondsNow } from './desk.ts';
import { listOf, pageOf } from './lists.ts';
import { modelProblem } from './models.ts';
import type { Body } from './requests.ts';
import { changedResources, knownResources, makeResources } from './resources.ts';
import { parseBody } from './validate.ts';
import { assistantObject, deletedObject } from './wire.ts';

export const createAssistant: Operation = async (desk, { caller, body, calls, named }) => {
  const asked = parseBody(desk.schemas.createAssistant, body);
  const assistant: Assistant = {
    ...newAssistant(asked),
    teamId: caller.team.id,
    id: newObjectId('asst_'),
    createdAt: secondsNow(desk),
  };
  refuseModel(assistant);
  await desk.models.check(assistant.model, calls);
  const made = {
    ...assistant,
    toolResources: await makeResources(asked.tool_resources, 'assistant', { calls, named }),
  };
  await desk.store.insertAssistant(made);
  return object(assistantObject(made));
};

/** What a creation says, without what the upstream has to make for it. */
export function newAssistant(asked: Body<'createAssistant'>): Omit<Assistant, 'teamId' | 'id' | 'createdAt'> {
  return {
    name: asked.name ?? null,
    description: asked.description ?? null,
    model: asked.model,
    instructions: asked.instructions ?? null,
    tools: asked.tools ?? [],
    toolResources: {},
    metadata: asked.metadata ?? {},
    temperature: asked.temperature ?? null,
    topP: asked.top_p ?? null,
    responseFormat: asked.response_format ?? 'auto',
    reasoningEffort: asked.reasoning_effort ?? null,
    extra: {},
  };
}

export const retrieveAssistant: Operation = async (desk, { caller, ids }) =>
  object(assistantObject(await knownAssistant(desk, caller.team.id, ids.assistant_id)));

export const modifyAssistant: Operation = async (desk, { caller, ids, body, calls, named }) => {
  const asked = parseBody(desk.schemas.modifyAssistant, body);
  await knownAssistant(desk, caller.team.id, ids.assistant_id);
  if (asked.model !== undefined) await desk.models.check(asked.model, calls);
  await knownResources(asked.tool_resources, named);
  const changed = await desk.store.updateAssistant(caller.team.id, ids.assistant_id, (stored) => {
    const assistant = changedAssistant(stored, asked);
    refuseModel(assistant);
    return assistant;
  });
  if (changed === null) throw errors.noSuch('assistant', ids.assistant_id);
  return object(assistantObject(changed));
};

/** A member that is absent leaves what stands; one that is null takes it away. */
function changedAssistant(stored: Assistant, asked: Body<'modifyAssistant'>): Assistant {
  const { name, description, instructions, temperature, top_p: topP, reasoning_effort: reasoningEffort } = asked;
  return {
    ...stored,
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(instructions !== undefined && { instructions }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(reasoningEffort !== undefined && { reasoningEffort }),
    model: asked.model ?? stored.model,
    tools: asked.tools ?? stored.tools,
    toolResources: changedResources(stored.toolResources, asked.tool_resources),
    metadata: asked.metadata ?? stored.metadata,
    responseFormat: asked.response_format ?? stored.responseFormat,
  };
}

export const deleteAssistant: Operation = async (desk, { caller, ids }) => {
  if (!(await desk.store.deleteAssistant(caller.team.id, ids.assistant_id)))
    throw errors.noSuch('assistant', ids.assistant_id);
  return object(deletedObject(ids.assistant_id, 'assistant.deleted'));
};

export const listAssistants: Operation = async ({ store }, { caller, query }) => {
  const page = pageOf<AssistantId>(query, 'assistant');
  return object(listOf(page, await store.listAssistants(caller.team.id, page), assistantObject));
};

/** The team's assistant of this id; one that a template describes is made on its first use. @throws ApiError */
export async function knownAssistant(desk: Desk, team: TeamId, id: AssistantId): Promise<Assistant> {
  const found = (await desk.store.findAssistant(team, id)) ?? (await adopt(desk, desk.store, team, id));
  if (found === null) throw errors.noSuch('assistant', id);
  return found;
}

async function adopt(desk: Desk, store: AssistantStore, team: TeamId, id: AssistantId): Promise<Assistant | null> {
  const template = desk.templates.get(id);
  if (template === undefined) return null;
  await store.insertAssistant({ ...template, teamId: team, createdAt: secondsNow(desk) });
  return store.findAssistant(team, id);
}

function refuseModel({ model, temperature, topP }: Assistant): void {
  const problem = modelProblem(model, { temperature, topP });
  if (problem !== null) throw problem;
}
