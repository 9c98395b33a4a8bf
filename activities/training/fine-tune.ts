import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelOutputInvalid } from '../../core/errors.js';
import { gridCells, type TrainedCell } from '../../core/training.js';
import type { StepRecord } from '../../core/types.js';
import {
  getFolder,
  isArtifactLoss,
  putFolder,
  type CellCheckpoints,
  type CurvePoint,
  type TrainingFiles,
} from '../../engine/storage/index.js';
import type { ActivityServices, TrainingContext } from '../services.js';
import type { FineTuneInput } from '../types.js';
import { CellRecorder } from './cell-recorder.js';
import { recorded, trainingStep } from './recorded-step.js';
import { whileStoreIsAway } from './while-store-is-away.js';
import { inWorkFolder, type TrainingTools } from './work-folder.js';

const summarySchema = z.looseObject({ steps: z.int(), bestStep: z.int(), trainLoss: z.number(), validationLoss: z.number() });

/** Trains one cell, from its newest checkpoint on where there is one. The checkpoint goes when the result is recorded. */
export async function fineTune(
  services: ActivityServices,
  training: TrainingContext,
  { cell }: FineTuneInput,
  tools: TrainingTools,
): Promise<TrainedCell> {
  const { manifest, store, files } = training;
  const step = await trainingStep(services, training, 'train', cell, []);
  const checkpoints = files.checkpoints(cell);
  const { record, cached } = await recorded(training, step, tools, () =>
    inWorkFolder(services, training, `train ${cell}`, tools, step.parameters, async ({ data, out, scratch, run }) => {
      await getFolder(store.artifacts, manifest.data.folder, data);
      const from = await restoreCheckpoint(checkpoints, step.key, join(out, 'checkpoints'));
      const recorder = new CellRecorder(files, checkpoints, step.key, cell, tools.attempt, from, scratch);
      try {
        await run(
          'train',
          (event) => {
            recorder.onEvent(event);
            if (event.event === 'start' && event.overlong)
              tools.log(`${event.overlong} rows have feedback of more tokens than arms write by default: raise their max_new_tokens`);
            const { step: done, totalSteps, loss, validationLoss } = recorder.progress;
            tools.progress(done, totalSteps, loss, validationLoss);
          },
          () => recorder.gotOn,
        );
      } catch (error) {
        if (!tools.signal.aborted && tools.isLast(error)) recorder.progress.state = 'failed';
        throw error;
      } finally {
        await recorder.settled();
      }
      const summary = await readSummary(join(out, 'training.json'));
      const inputs = step.keyInput.inputs;
      const leaveOut = { derivedFrom: inputs, skip: (path: string) => path === 'checkpoints' };
      const lines = recorder.curve().map((point) => `${JSON.stringify(point)}\n`);
      return whileStoreIsAway(tools.signal, tools.log, async () => {
        const result = await putFolder(store.artifacts, out, leaveOut);
        const curve = await store.putArtifact(Buffer.from(lines.join('')), 'application/jsonl', inputs);
        return { outputs: { result, curve }, values: summary };
      });
    }),
  );
  await checkpoints.remove();
  await tellTrained(files, cell, tools.attempt, record);
  return { cell, label: gridCells(manifest.recipe)[cell]!.label, cached, ...trained(record) };
}

/** Fetches the newest checkpoint. One that is lost or spoilt is none, and what is left of it goes: the cell begins anew. */
async function restoreCheckpoint(
  checkpoints: CellCheckpoints,
  key: string,
  folder: string,
): Promise<{ step: number; curve: CurvePoint[] }> {
  const kept = await checkpoints.find(key);
  try {
    if (kept) {
      const { step, name, folder: stored, writer } = kept.record;
      await getFolder(checkpoints.blobsOf(writer), stored, join(folder, name));
      return { step, curve: kept.curve };
    }
  } catch (error) {
    if (!isArtifactLoss(error)) throw error;
  }
  await checkpoints.remove();
  return { step: 0, curve: [] };
}

/** For who watches while other settings of the grid still train; of one that was recorded before, all that is known. */
async function tellTrained(files: TrainingFiles, cell: number, attempt: number, record: StepRecord): Promise<void> {
  const { steps, trainLoss, validationLoss } = trained(record);
  const updatedAt = new Date().toISOString();
  const before = (await files.readProgress(cell)) ?? { epoch: 0, resumedFrom: steps, startedAt: updatedAt };
  const now = { cell, state: 'trained' as const, attempt, step: steps, totalSteps: steps, loss: trainLoss, validationLoss, updatedAt };
  await files.writeProgress({ ...before, ...now });
}

function trained({ key, outputs, values }: StepRecord): Omit<TrainedCell, 'cell' | 'label' | 'cached'> {
  const { steps, bestStep, trainLoss, validationLoss } = summarySchema.parse(values);
  return { key, steps, bestStep, trainLoss, validationLoss, result: outputs['result']!, curve: outputs['curve']! };
}

async function readSummary(file: string) {
  try {
    const { steps, bestStep, trainLoss, validationLoss } = summarySchema.parse(JSON.parse(await readFile(file, 'utf8')));
    return { steps, bestStep, trainLoss, validationLoss };
  } catch (error) {
    throw new ModelOutputInvalid('malformed', `the training has no usable summary in training.json: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
