import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { itemWorkflowId } from '../core/ids.js';
import type { ItemState, RunState } from '../core/types.js';
import { itemDone, writeOutcome } from './record-item.js';
import type { RunContext } from './services.js';
import type { FinishRunInput, FinishRunResult, ItemDone, ReconcileItemsInput, ReconcileItemsResult } from './types.js';

/** Writes down where the run stands, for those who read the store without a server. */
export async function setRunState({ files, manifest }: RunContext, state: RunState): Promise<void> {
  const before = await files.readState();
  const over = !['starting', 'running', 'paused'].includes(state);
  await files.writeState({ state, startedAt: before?.startedAt ?? manifest.createdAt, finishedAt: over ? new Date().toISOString() : null });
}

/** Counts the items' records and writes how the run ended. */
export async function finishRun(run: RunContext, ended: FinishRunInput['ended']): Promise<FinishRunResult> {
  const items: Partial<Record<ItemState | 'pending', number>> = {};
  for (const { state } of await run.files.listItems()) items[state] = (items[state] ?? 0) + 1;
  const total = (await run.files.readIndexSummary())?.total ?? 0;
  const pending = total - Object.values(items).reduce((sum, n) => sum + n, 0);
  if (pending > 0) items.pending = pending;
  const state: RunState = ended !== 'completed' ? ended : items.failed ? 'completed_with_failures' : 'completed';
  await setRunState(run, state);
  return { state, items };
}

/**
 * Finds items that are over although their partition heard nothing: the record says how, or the workflow is closed
 * without one (terminated, timed out) and is recorded as failed.
 */
export async function reconcileItems(
  client: Client,
  run: RunContext,
  { run: ref, items }: ReconcileItemsInput,
): Promise<ReconcileItemsResult> {
  const over: ItemDone[] = [];
  for (const item of items) {
    const status = await workflowStatus(client, itemWorkflowId(ref.runId, item.key));
    if (status === 'RUNNING') continue;
    const record = await run.files.readItem(item.key);
    if (record) {
      over.push(itemDone(record));
      continue;
    }
    const message = `the item's workflow ended (${status}) before it wrote its record`;
    const failure = { type: 'WorkflowEnded', message, step: 'workflow' as const, arm: null, round: 0, attempt: 1 };
    const nothing = { steps: { executed: 0, cached: 0, retried: 0 }, spent: { images: 0, seconds: 0, usd: 0 } };
    over.push(await writeOutcome(run, { run: ref, ...item }, { state: 'failed', arms: [], ...nothing, failure }));
  }
  return { over };
}

async function workflowStatus(client: Client, workflowId: string): Promise<string> {
  try {
    return (await client.workflow.getHandle(workflowId).describe()).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'NOT_FOUND';
    throw error;
  }
}
