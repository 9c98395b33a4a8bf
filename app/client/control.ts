import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import type { Selection } from '../../activities/types.js';
import { InvalidInput } from '../../core/errors.js';
import { itemKey, runWorkflowId } from '../../core/ids.js';
import { openStore } from '../../engine/storage/index.js';
import { isOpen, startWorkflow, type StartOptions } from './start-run.js';

/** A run that is named: where it is and what it is called. */
export interface RunName {
  storeUri: string;
  runId: string;
}

export const pauseRun = (client: Client, run: RunName): Promise<void> => signal(client, run, 'pause');
export const resumeRun = (client: Client, run: RunName): Promise<void> => signal(client, run, 'resume');

/** Items in flight from now on; those that run go on to their end. */
export const setConcurrency = (client: Client, run: RunName, items: number): Promise<void> => signal(client, run, 'concurrency', items);

/** Asks the run to end: items in flight stop at their next step, and everything finished stays. */
export async function cancelRun(client: Client, run: RunName): Promise<void> {
  await onOpenRun(run, async () => {
    // The server takes a request for a workflow that is closed, and does nothing.
    if (await isOpen(client, run.runId)) await client.workflow.getHandle(runWorkflowId(run.runId)).cancel();
    else await closeInStore(run);
  });
}

/** A root that was terminated or deleted could not write down that the run is over. @throws InvalidInput that says so */
async function closeInStore({ storeUri, runId }: RunName): Promise<never> {
  const files = (await openStore(storeUri)).run(runId);
  const { startedAt = new Date().toISOString() } = (await files.readState()) ?? {};
  await files.writeState({ state: 'failed', startedAt, finishedAt: new Date().toISOString() });
  throw new InvalidInput(
    `run ${runId} is not open: its workflow was ended from outside, and the run now counts as failed; \`run\` takes it up again`,
  );
}

async function signal(client: Client, run: RunName, name: string, ...args: unknown[]): Promise<void> {
  await onOpenRun(run, () => client.workflow.getHandle(runWorkflowId(run.runId)).signal(name, ...args));
}

/** @throws InvalidInput where the run is over or was never there */
async function onOpenRun(run: RunName, act: () => Promise<unknown>): Promise<void> {
  await requireRun(run);
  try {
    await act();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new InvalidInput(`run ${run.runId} is not open: it has ended, or its server was never told of it`);
    throw error;
  }
}

/** @throws InvalidInput naming the runs and trainings that are there */
export async function requireRun({ storeUri, runId }: RunName): Promise<void> {
  const store = await openStore(storeUri);
  if (await store.run(runId).readManifest()) return;
  const runs = await store.listRuns();
  const known = runs.length === 0 ? 'there are no runs in it' : `known runs: ${runs.join(', ')}`;
  const trainings = await store.listTrainings();
  const trained = trainings.length === 0 ? '' : `; trainings: ${trainings.join(', ')}`;
  throw new InvalidInput(`no run ${runId} in ${storeUri}; ${known}${trained}. Another store is named with --store`);
}

/** Items that a retry would take up: all that failed or were cancelled, or those named. */
export async function itemsToRetry({ storeUri, runId }: RunName, ids: string[]): Promise<string[]> {
  const records = await (await openStore(storeUri)).run(runId).listItems();
  if (ids.length === 0) return records.filter((r) => r.state === 'failed' || r.state === 'cancelled').map((r) => r.key);
  return ids.map((id) => {
    const record = records.find((r) => r.id === id || r.key === id);
    if (!record) throw new InvalidInput(`run ${runId} has no record of an item ${JSON.stringify(id)}; see \`refineloop items ${runId}\``);
    return record.key ?? itemKey(id);
  });
}

/**
 * Takes failed or named items up again under the same workflow id: an update where the run is open, a new execution where
 * it has ended. No recorded step runs again. Returns how many items; 0: nothing to do.
 */
export async function retryRun(client: Client, run: RunName, ids: string[], options: StartOptions = {}): Promise<number> {
  await requireRun(run);
  const keys = await itemsToRetry(run, ids);
  if (keys.length === 0) return 0;
  const selection: Selection = ids.length === 0 ? { kind: 'failed' } : { kind: 'items', keys };
  if (await isOpen(client, run.runId)) {
    await client.workflow.getHandle(runWorkflowId(run.runId)).executeUpdate('retry', { args: [selection] });
  } else {
    await startWorkflow(client, run.runId, run.storeUri, { ...options, selection });
  }
  return keys.length;
}
