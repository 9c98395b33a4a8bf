import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy, WorkflowNotFoundError } from '@temporalio/common';
import { InvalidInput } from '../../core/errors.js';
import { TASK_QUEUES } from '../../core/queues.js';
import { gridCells, trainingWorkflowId, type TrainingResult } from '../../core/training.js';
import { getFolder, isWhole, openStore } from '../../engine/storage/index.js';
import type { TrainModelInput } from '../../workflows/train-model.js';
import type { PreparedTraining } from './prepare-training.js';
import { ServiceUnreachable } from './service-unreachable.js';
import { isWorkflowOpen, type Started } from './start-run.js';

/** A training that is named: where it is and what it is called. */
export interface TrainingName {
  storeUri: string;
  trainingId: string;
}

/**
 * Writes the training's manifest and starts its workflow, or finds it. `finished`: its result is recorded and nothing was started.
 * @throws InvalidInput where the id belongs to another training
 */
export async function startTraining(client: Client, { manifest, storeUri }: PreparedTraining): Promise<Started> {
  const { trainingId, recipe } = manifest;
  const files = (await openStore(storeUri)).training(trainingId);
  await findResult({ manifest, storeUri }); // Another id's refusal comes before anything is written.
  await files.createManifest(manifest);
  if (await findResult({ manifest, storeUri })) return 'finished';
  const workflowId = trainingWorkflowId(trainingId);
  if (await isWorkflowOpen(client, workflowId)) return 'attached';
  const cells = gridCells(recipe).map(({ cell, label }) => ({ cell, label }));
  const input: TrainModelInput = { training: { trainingId, store: storeUri }, cells };
  try {
    await client.workflow.start('trainModel', {
      workflowId,
      taskQueue: TASK_QUEUES.orchestrator,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      staticSummary: `refineloop training ${trainingId}`,
      args: [input],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return 'started';
}

/**
 * Compares the manifest with the one that is there, and writes none. Returns the result where it is recorded already and whole.
 * @throws InvalidInput where the id belongs to another training or to a run
 */
export async function findResult({ manifest, storeUri }: Pick<PreparedTraining, 'manifest' | 'storeUri'>): Promise<TrainingResult | null> {
  const store = await openStore(storeUri);
  const files = store.training(manifest.trainingId);
  const kept = await files.readManifest();
  if (!kept && (await store.run(manifest.trainingId).readManifest())) {
    throw new InvalidInput(`${manifest.trainingId} is a run of this store; give the training another id with --id`);
  }
  if (kept && kept.recipeDigest !== manifest.recipeDigest) {
    throw new InvalidInput(
      `training ${manifest.trainingId} is there already with another recipe, other data, models or program; give this one another id with --id`,
    );
  }
  const result = (await files.readState())?.state === 'completed' ? await files.readResult() : undefined;
  if (!result) return null;
  // One of which something is lost is made again, from what is recorded and whole.
  for (const ref of [result.pack, result.measured]) if (!(await isWhole(store.artifacts, ref))) return null;
  return result;
}

/** Waits for the training's workflow; how it ended stands in the store. */
export async function waitForTraining(client: Client, trainingId: string): Promise<void> {
  try {
    await client.workflow.getHandle(trainingWorkflowId(trainingId)).result();
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowFailedError') return;
    throw new ServiceUnreachable(`the Temporal server went away while training ${trainingId} was open; the same command goes on with it`, {
      cause: error,
    });
  }
}

/** Asks the training to end: what trains leaves a checkpoint, from which the same command goes on later. @throws InvalidInput where it is not open */
export async function cancelTraining(client: Client, { trainingId, storeUri }: TrainingName): Promise<void> {
  try {
    if (await isWorkflowOpen(client, trainingWorkflowId(trainingId))) {
      await client.workflow.getHandle(trainingWorkflowId(trainingId)).cancel();
      return;
    }
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  const files = (await openStore(storeUri)).training(trainingId);
  const { startedAt = new Date().toISOString() } = (await files.readState()) ?? {};
  await files.writeState({ state: 'failed', startedAt, finishedAt: new Date().toISOString() });
  throw new InvalidInput(
    `training ${trainingId} is not open: its workflow was ended from outside, and it now counts as failed; \`train\` takes it up again`,
  );
}

/** Writes the pack to its folder, in the place of an earlier one: beside it first, so that a folder of this name is whole. */
export async function writePack({ storeUri, out }: PreparedTraining, { pack }: TrainingResult): Promise<void> {
  const store = await openStore(storeUri);
  const beside = (what: string) => join(dirname(out), `.${basename(out)}.${what}-${process.pid}`);
  await mkdir(dirname(out), { recursive: true }).catch((error: Error) => {
    throw new InvalidInput(`${out} cannot be written: ${error.message}`, { cause: error });
  });
  await getFolder(store.artifacts, pack, beside('new'));
  await rename(out, beside('old')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(beside('new'), out);
  await rm(beside('old'), { recursive: true, force: true });
}
