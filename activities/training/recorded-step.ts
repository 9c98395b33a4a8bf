import { InvalidInput } from '../../core/errors.js';
import { stepKey } from '../../core/step-key.js';
import { gridCells, type TrainingParameters } from '../../core/training.js';
import type { ArtifactRef, Digest, StepKeyInput, StepRecord, TrainingStepName } from '../../core/types.js';
import type { ActivityServices, TrainingContext } from '../services.js';
import { whileStoreIsAway } from './while-store-is-away.js';
import type { TrainingTools } from './work-folder.js';

/** Raised when the same inputs no longer give the same result, for other reasons than the program's own files. */
const VERSION = 1;

export interface RecordableStep {
  key: string;
  keyInput: StepKeyInput;
  cell: number;
  parameters: TrainingParameters;
}

/**
 * All that a training's step depends on. `inputs` and `params` beside what every step of a cell does: its parameters, models, program and device.
 * @throws InvalidInput where this worker has another program than the training
 */
export async function trainingStep(
  services: ActivityServices,
  { manifest }: TrainingContext,
  step: TrainingStepName,
  cell: number,
  inputs: Digest[],
): Promise<RecordableStep> {
  const { digest } = await services.trainer();
  if (digest !== manifest.code) {
    throw new InvalidInput(
      `the training program of this worker (${digest}) is not the one that training ${manifest.trainingId} was started with (${manifest.code}): ` +
        'give worker and `train` the same version, and the same --trainer where there is one',
    );
  }
  const { kind } = manifest.recipe;
  const { parameters } = gridCells(manifest.recipe)[cell]!;
  // How often it is saved changes nothing, nor does what is computed again, nor which of several like devices it runs on.
  const { checkpointSteps: _, gradientCheckpointing: __, device, precision, ...params } = parameters;
  const keyInput: StepKeyInput = {
    step,
    stepVersion: VERSION,
    inputs: [manifest.data.folder.digest, ...inputs],
    params: { kind, imageEncoder: manifest.imageEncoder?.digest ?? null, ...params },
    model: manifest.base.digest,
    runtime: {
      engine: 'trainer',
      version: digest,
      provider: device.replace(/:\d+$/, ''),
      precision,
      batching: 'exact',
    },
    draw: 0,
  };
  return { key: stepKey(keyInput), keyInput, cell, parameters };
}

/** The recorded result of a step, or that of `carryOut`, which is recorded. */
export async function recorded(
  { store, files }: TrainingContext,
  { key, keyInput, cell }: RecordableStep,
  { signal, log }: TrainingTools,
  carryOut: () => Promise<{ outputs: Record<string, ArtifactRef>; values: Record<string, unknown> }>,
): Promise<{ record: StepRecord; cached: boolean }> {
  await files.writeStep(cell, keyInput.step as TrainingStepName, key);
  const found = await store.findStep(key);
  if (found) return { record: found, cached: true };
  const startedAt = performance.now();
  const made = await carryOut();
  const seconds = (performance.now() - startedAt) / 1000;
  const record = { ...keyInput, key, ...made, unpinned: false, seconds };
  return { record: await whileStoreIsAway(signal, log, () => store.recordStep(record)), cached: false };
}
