// Between the rows of the Assistants API's tables and the objects of the domain. The only reader and writer of their JSON.
import type { Insertable, Selectable } from 'kysely';

import type {
  Assistant,
  AssistantId,
  FileId,
  GeneratedFile,
  Message,
  MessageId,
  Origin,
  RunId,
  StepId,
  Thread,
  ThreadId,
} from '../domain/assistants.ts';
import type { KeyId, TeamId } from '../domain/id.ts';
import type { Run, RunRef, RunStatus, RunStep, StepStatus } from '../domain/run.ts';
import type { AssistantSchema } from './assistant-schema.ts';

type Row<T extends keyof AssistantSchema> = Selectable<AssistantSchema[T]>;
type NewRow<T extends keyof AssistantSchema> = Insertable<AssistantSchema[T]>;

/** What stands in a row came from a domain object of this very type, so it is one. */
function read<T>(json: string): T {
  return JSON.parse(json) as T;
}

type AssistantBody = Omit<Assistant, 'teamId' | 'id' | 'createdAt'>;

export function assistantRow({ teamId, id, createdAt, ...body }: Assistant): NewRow<'assistants'> {
  return { team_id: teamId, id, created_at: createdAt, body: JSON.stringify(body satisfies AssistantBody) };
}

export function toAssistant(row: Row<'assistants'>): Assistant {
  return {
    teamId: row.team_id as TeamId,
    id: row.id as AssistantId,
    createdAt: row.created_at,
    ...read<AssistantBody>(row.body),
  };
}

export function threadRow(thread: Thread): NewRow<'threads'> {
  return {
    team_id: thread.teamId,
    id: thread.id,
    created_at: thread.createdAt,
    tool_resources: JSON.stringify(thread.toolResources),
    metadata: JSON.stringify(thread.metadata),
    container_id: thread.container?.id ?? null,
    container_used_ms: thread.container?.usedAt ?? null,
    container_files: JSON.stringify(thread.containerFiles),
    extra: JSON.stringify(thread.extra),
  };
}

export function toThread(row: Row<'threads'>): Thread {
  return {
    teamId: row.team_id as TeamId,
    id: row.id as ThreadId,
    createdAt: row.created_at,
    toolResources: read(row.tool_resources),
    metadata: read(row.metadata),
    container: row.container_id === null ? null : { id: row.container_id, usedAt: row.container_used_ms ?? 0 },
    containerFiles: read(row.container_files),
    extra: read(row.extra),
  };
}

type MessageBody = Pick<
  Message,
  'incompleteReason' | 'completedAt' | 'incompleteAt' | 'content' | 'attachments' | 'markers' | 'phase' | 'extra'
>;

export function messageRow(message: Message, threadPk: number): NewRow<'messages'> {
  const { incompleteReason, completedAt, incompleteAt, content, attachments, markers, phase, extra } = message;
  const told = { incompleteReason, completedAt, incompleteAt, content, attachments, markers, extra };
  const body: MessageBody = phase === undefined ? told : { ...told, phase };
  return {
    thread_pk: threadPk,
    id: message.id,
    created_at: message.createdAt,
    role: message.role,
    status: message.status,
    body: JSON.stringify(body),
    metadata: JSON.stringify(message.metadata),
    assistant_id: message.assistantId,
    run_id: message.runId,
    turn: message.origin?.turn ?? null,
    out_ix: message.origin?.outIx ?? null,
  };
}

/** Whose it is and where: what the row of a message leaves to that of its thread. */
export interface InThread {
  readonly teamId: TeamId;
  readonly threadId: ThreadId;
}

export function toMessage(row: Row<'messages'>, { teamId, threadId }: InThread): Message {
  return {
    teamId,
    threadId,
    id: row.id as MessageId,
    createdAt: row.created_at,
    role: row.role as Message['role'],
    status: row.status as Message['status'],
    metadata: read(row.metadata),
    assistantId: row.assistant_id as AssistantId | null,
    runId: row.run_id as RunId | null,
    origin: toOrigin(row),
    ...read<MessageBody>(row.body),
  };
}

function toOrigin({ turn, out_ix: outIx }: { turn: number | null; out_ix: number | null }): Origin | null {
  return turn === null || outIx === null ? null : { turn, outIx };
}

type RunOutcome = Pick<Run, 'pendingCalls' | 'lastError' | 'incompleteReason' | 'usage'>;

export function runOutcome({ pendingCalls, lastError, incompleteReason, usage }: RunOutcome): string {
  return JSON.stringify({ pendingCalls, lastError, incompleteReason, usage } satisfies RunOutcome);
}

/** Everything that may change while a run is worked on. */
export function runColumns(run: Omit<Run, 'ref'>) {
  return {
    status: run.status,
    outcome: runOutcome(run),
    started_at: run.startedAt,
    expires_at: run.expiresAt,
    cancelled_at: run.cancelledAt,
    failed_at: run.failedAt,
    completed_at: run.completedAt,
    metadata: JSON.stringify(run.metadata),
    turn: run.turn,
    reruns: run.reruns,
    fence: run.fence,
  };
}

export function runRow(run: Omit<Run, 'ref'>, threadPk: number): NewRow<'runs'> {
  return {
    team_id: run.teamId,
    key_id: run.keyId,
    thread_pk: threadPk,
    thread_id: run.threadId,
    assistant_id: run.assistantId,
    id: run.id,
    created_at: run.createdAt,
    spec: JSON.stringify(run.spec),
    include: JSON.stringify(run.include),
    extra: JSON.stringify(run.extra),
    lease_owner: null,
    lease_until: 0,
    next_try_ms: 0,
    ended_ms: null,
    ...runColumns(run),
  };
}

export function toRun(row: Row<'runs'>): Run {
  return {
    ref: row.pk as RunRef,
    teamId: row.team_id as TeamId,
    keyId: row.key_id as KeyId,
    threadId: row.thread_id as ThreadId,
    assistantId: row.assistant_id as AssistantId,
    id: row.id as RunId,
    createdAt: row.created_at,
    status: row.status as RunStatus,
    spec: read(row.spec),
    startedAt: row.started_at,
    expiresAt: row.expires_at,
    cancelledAt: row.cancelled_at,
    failedAt: row.failed_at,
    completedAt: row.completed_at,
    metadata: read(row.metadata),
    include: read(row.include),
    turn: row.turn,
    reruns: row.reruns,
    fence: row.fence,
    extra: read(row.extra),
    ...read<RunOutcome>(row.outcome),
  };
}

type StepOutcome = Pick<RunStep, 'lastError' | 'expiredAt' | 'cancelledAt' | 'failedAt' | 'completedAt'>;

export function stepRow(step: RunStep, runPk: number): NewRow<'steps'> {
  const { lastError, expiredAt, cancelledAt, failedAt, completedAt } = step;
  const outcome: StepOutcome = { lastError, expiredAt, cancelledAt, failedAt, completedAt };
  return {
    run_pk: runPk,
    id: step.id,
    created_at: step.createdAt,
    status: step.status,
    details: JSON.stringify(step.details),
    outcome: JSON.stringify(outcome),
    metadata: JSON.stringify(step.metadata),
    usage: step.usage === null ? null : JSON.stringify(step.usage),
    turn: step.origin?.turn ?? null,
    out_ix: step.origin?.outIx ?? null,
    extra: JSON.stringify(step.extra),
  };
}

/** Whose it is and where: what the row of a step leaves to that of its run. */
export interface InRun extends InThread {
  readonly runId: RunId;
  readonly assistantId: AssistantId;
}

export function toStep(row: Row<'steps'>, { teamId, threadId, runId, assistantId }: InRun): RunStep {
  return {
    teamId,
    threadId,
    runId,
    assistantId,
    id: row.id as StepId,
    createdAt: row.created_at,
    status: row.status as StepStatus,
    details: read(row.details),
    metadata: read(row.metadata),
    usage: row.usage === null ? null : read(row.usage),
    origin: toOrigin(row),
    extra: read(row.extra),
    ...read<StepOutcome>(row.outcome),
  };
}

export function inRun(row: Pick<Row<'runs'>, 'team_id' | 'thread_id' | 'id' | 'assistant_id'>): InRun {
  return {
    teamId: row.team_id as TeamId,
    threadId: row.thread_id as ThreadId,
    runId: row.id as RunId,
    assistantId: row.assistant_id as AssistantId,
  };
}

export function generatedFileRow(file: GeneratedFile): NewRow<'generated_files'> {
  return {
    team_id: file.teamId,
    id: file.id,
    filename: file.filename,
    bytes: file.bytes,
    created_at: file.createdAt,
    thread_id: file.threadId,
    run_id: file.runId,
    upstream_id: file.upstreamId,
  };
}

export function toGeneratedFile(row: Row<'generated_files'>): GeneratedFile {
  return {
    teamId: row.team_id as TeamId,
    id: row.id as FileId,
    filename: row.filename,
    bytes: row.bytes,
    createdAt: row.created_at,
    threadId: row.thread_id as ThreadId,
    runId: row.run_id as RunId,
    upstreamId: row.upstream_id,
  };
}
