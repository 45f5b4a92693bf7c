// Threads and their messages: made, read, changed, listed, deleted.
import type { Message, MessageId, RunId, Thread, ThreadId } from '../domain/assistants.ts';
import { type TeamId, newObjectId } from '../domain/id.ts';
import * as errors from './api-error.ts';
import { type Asked, type Desk, type Operation, object, secondsNow } from './desk.ts';
import type { NewMessage, NewResources } from './fields.ts';
import { listOf, pageOf } from './lists.ts';
import { imagesIn } from './named-objects.ts';
import type { Body } from './requests.ts';
import { type UpstreamAccess, attach, changedResources, knownResources, makeResources } from './resources.ts';
import { parseBody } from './validate.ts';
import { deletedObject, messageObject, threadObject } from './wire.ts';

export const createThread: Operation = async (desk, asked) => {
  const made = await newThread(desk, asked, parseBody(desk.schemas.createThread, asked.body));
  await desk.store.insertThread(made.thread, made.messages);
  return object(threadObject(made.thread));
};

/** A thread that is not written yet, with all that the upstream has to make for it. @throws ApiError */
export async function newThread(
  desk: Desk,
  { caller, calls, named }: Pick<Asked, 'caller' | 'calls' | 'named'>,
  { messages, metadata, tool_resources: resources }: Body<'createThread'>,
): Promise<{ readonly thread: Thread; readonly messages: readonly Message[] }> {
  const id = newObjectId('thread_');
  const added = (messages ?? []).map((message) => newMessage(message, caller.team.id, id, secondsNow(desk)));
  const attachments = added.flatMap((message) => message.attachments);
  await named.images(imagesIn(added));
  const upstream = { calls, named };
  const given = await makeResources(resources satisfies NewResources | null | undefined, 'thread', upstream);
  const change = await attach(attachments, given, upstream);
  const thread: Thread = {
    teamId: caller.team.id,
    id,
    createdAt: secondsNow(desk),
    toolResources: change === undefined ? given : change(given),
    metadata: metadata ?? {},
    container: null,
    containerFiles: [],
    extra: {},
  };
  return { thread, messages: added };
}

export function newMessage(asked: NewMessage, teamId: TeamId, threadId: ThreadId, createdAt: number): Message {
  return {
    teamId,
    threadId,
    id: newObjectId('msg_'),
    createdAt,
    status: 'completed',
    incompleteReason: null,
    completedAt: createdAt,
    incompleteAt: null,
    role: asked.role,
    content: asked.content,
    attachments: asked.attachments,
    metadata: asked.metadata ?? {},
    assistantId: null,
    runId: null,
    origin: null,
    markers: [],
    extra: {},
  };
}

export const retrieveThread: Operation = async (desk, { caller, ids }) =>
  object(threadObject(await knownThread(desk, caller.team.id, ids.thread_id)));

export const modifyThread: Operation = async (desk, { caller, ids, body, named }) => {
  const { metadata, tool_resources: resources } = parseBody(desk.schemas.modifyThread, body);
  await knownThread(desk, caller.team.id, ids.thread_id);
  await knownResources(resources, named);
  const changed = await desk.store.updateThread(caller.team.id, ids.thread_id, (stored) => ({
    ...stored,
    metadata: metadata ?? stored.metadata,
    toolResources: changedResources(stored.toolResources, resources),
  }));
  if (changed === null) throw errors.noSuch('thread', ids.thread_id);
  return object(threadObject(changed));
};

export const deleteThread: Operation = async ({ store, engine }, { caller, ids, calls }) => {
  const deleted = await store.deleteThread(caller.team.id, ids.thread_id);
  if (deleted === null) throw errors.noSuch('thread', ids.thread_id);
  if (deleted.active !== null) engine.abandoned(deleted.active);
  void deleteCopies(deleted.upstreamIds, calls);
  return object(deletedObject(ids.thread_id, 'thread.deleted'));
};

/** Nobody waits for it: the thread is gone whether or not the upstream does its part. Never rejects. */
async function deleteCopies(upstreamIds: readonly string[], calls: Asked['calls']): Promise<void> {
  for (const id of upstreamIds) {
    try {
      await calls.call('DELETE', `/v1/files/${encodeURIComponent(id)}`);
    } catch {
      // Its record says why; the copy stays in the upstream account.
    }
  }
}

/** OpenAI listed no threads; here the operator may allow it. */
export const listThreads: Operation = async ({ store, settings }, { caller, query }) => {
  if (!settings.listThreads) throw errors.threadsNotListed();
  const page = pageOf<ThreadId>(query, 'thread');
  return object(listOf(page, await store.listThreads(caller.team.id, page), threadObject));
};

export const createMessage: Operation = async (desk, { caller, ids, body, calls, named }) => {
  const asked = parseBody(desk.schemas.createMessage, body);
  const message = newMessage(asked, caller.team.id, ids.thread_id, secondsNow(desk));
  const add = async () => {
    const resources = await attachTo(desk, message, { calls, named });
    return desk.store.addMessage(message, resources);
  };
  const outcome = await (message.attachments.length + imagesIn([message]).length === 0
    ? desk.store.addMessage(message)
    : desk.inTurn(ids.thread_id, add));
  if (outcome.kind === 'no_thread') throw errors.noSuch('thread', ids.thread_id);
  if (outcome.kind === 'locked') throw errors.lockedForMessages(ids.thread_id, outcome.runId);
  if (outcome.kind === 'full') throw errors.tooManyMessages(outcome.messages);
  return object(messageObject(message));
};

/** Looks for what would be refused before the upstream is asked for anything. @throws ApiError */
async function attachTo(desk: Desk, message: Message, upstream: UpstreamAccess) {
  const { teamId, threadId } = message;
  const thread = await knownThread(desk, teamId, threadId);
  const active = await desk.store.findActiveRun(teamId, threadId);
  if (active !== null) throw errors.lockedForMessages(threadId, active.id);
  await upstream.named.images(imagesIn([message]));
  return attach(message.attachments, thread.toolResources, upstream);
}

export const retrieveMessage: Operation = async (desk, { caller, ids }) => {
  const message = await desk.store.findMessage(caller.team.id, ids.thread_id, ids.message_id);
  if (message === null) throw await missingMessage(desk, caller.team.id, ids.thread_id, ids.message_id);
  return object(messageObject(message));
};

export const modifyMessage: Operation = async (desk, { caller, ids, body }) => {
  const { metadata } = parseBody(desk.schemas.modifyMetadata, body);
  const { team } = caller;
  const stored = await desk.store.findMessage(team.id, ids.thread_id, ids.message_id);
  const changed =
    stored && (await desk.store.updateMessage(team.id, ids.thread_id, ids.message_id, metadata ?? stored.metadata));
  if (changed === null) throw await missingMessage(desk, team.id, ids.thread_id, ids.message_id);
  return object(messageObject(changed));
};

export const deleteMessage: Operation = async (desk, { caller, ids }) => {
  const outcome = await desk.store.deleteMessage(caller.team.id, ids.thread_id, ids.message_id);
  if (outcome === null) throw await missingMessage(desk, caller.team.id, ids.thread_id, ids.message_id);
  if (outcome.kind === 'locked') throw errors.lockedForDeletion(ids.message_id, outcome.runId);
  return object(deletedObject(ids.message_id, 'thread.message.deleted'));
};

export const listMessages: Operation = async ({ store }, { caller, ids, query }) => {
  const page = pageOf<MessageId>(query, 'message');
  const list = await store.listMessages(caller.team.id, ids.thread_id, page, { runId: runFilter(query) });
  if (list === null) throw errors.noSuch('thread', ids.thread_id);
  return object(listOf(page, list, messageObject));
};

function runFilter(query: URLSearchParams): RunId | undefined {
  const id = query.get('run_id');
  if (id === null || id === '') return undefined;
  if (!id.startsWith(errors.KINDS.run.prefix)) throw errors.wrongPrefix('run_id', id, 'run');
  // It begins as ids of runs do.
  return id as RunId;
}

/** @throws ApiError */
export async function knownThread({ store }: Pick<Desk, 'store'>, team: TeamId, id: ThreadId): Promise<Thread> {
  const found = await store.findThread(team, id);
  if (found === null) throw errors.noSuch('thread', id);
  return found;
}

/** Which of the two ids is unknown. */
async function missingMessage({ store }: Desk, team: TeamId, thread: ThreadId, message: MessageId) {
  return (await store.findThread(team, thread)) === null
    ? errors.noSuch('thread', thread)
    : errors.noSuch('message', message);
}
