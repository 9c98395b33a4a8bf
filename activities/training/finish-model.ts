import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelOutputInvalid } from '../../core/errors.js';
import { armSource, type TrainingResult } from '../../core/training.js';
import { readTaught } from '../../engine/datasets/index.js';
import { getFolder, putFolder, type CurvePoint } from '../../engine/storage/index.js';
import { makeTrainingPack } from '../../engine/training/index.js';
import type { ActivityServices, TrainingContext } from '../services.js';
import type { ExportModelInput, ExportModelResult, MeasureModelInput, MeasureModelResult, RecordPackInput } from '../types.js';
import { recorded, trainingStep } from './recorded-step.js';
import { whileStoreIsAway } from './while-store-is-away.js';
import { inWorkFolder, type TrainingTools } from './work-folder.js';

/** Merges the adapter and writes the model as ONNX; the program itself compares it with torch. */
export async function exportModel(
  services: ActivityServices,
  training: TrainingContext,
  { chosen }: ExportModelInput,
  tools: TrainingTools,
): Promise<ExportModelResult> {
  const { manifest, store } = training;
  const step = await trainingStep(services, training, 'export', chosen.cell, [chosen.result.digest]);
  const { record } = await recorded(training, step, tools, () =>
    inWorkFolder(services, training, 'export', tools, step.parameters, async ({ data, out, run }) => {
      await getFolder(store.artifacts, manifest.data.folder, data);
      await getFolder(store.artifacts, chosen.result, out);
      const { largestDifference } = await run('export');
      if (largestDifference === undefined)
        throw new ModelOutputInvalid('malformed', 'export.py did not say how far the exported graph is from torch');
      const model = await whileStoreIsAway(tools.signal, tools.log, () =>
        putFolder(store.artifacts, join(out, 'model'), { derivedFrom: step.keyInput.inputs }),
      );
      return { outputs: { model }, values: { largestDifference } };
    }),
  );
  return { key: step.key, largestDifference: record.values['largestDifference'] as number, model: record.outputs['model']! };
}

/** Measures how well the model reads pictures and how much it repeats of what it was taught. */
export async function measureModel(
  services: ActivityServices,
  training: TrainingContext,
  { chosen, model }: MeasureModelInput,
  tools: TrainingTools,
): Promise<MeasureModelResult> {
  const { manifest, store } = training;
  const step = await trainingStep(services, training, 'measure', chosen.cell, [chosen.result.digest, model.digest]);
  const { record } = await recorded(training, step, tools, () =>
    inWorkFolder(services, training, 'measure', tools, step.parameters, async ({ data, out, run }) => {
      await getFolder(store.artifacts, manifest.data.folder, data);
      await getFolder(store.artifacts, chosen.result, out);
      await getFolder(store.artifacts, model, join(out, 'model'));
      await run('measure');
      const measured = await readFile(join(out, 'measured.json')).catch((error: Error) => {
        throw new ModelOutputInvalid('malformed', `measure.py has left no measured.json: ${error.message}`, { cause: error });
      });
      const kept = await whileStoreIsAway(tools.signal, tools.log, () =>
        store.putArtifact(measured, 'application/json', step.keyInput.inputs),
      );
      return { outputs: { measured: kept }, values: {} };
    }),
  );
  return { key: step.key, measured: record.outputs['measured']! };
}

/** Puts the pack together, stores it, and writes down how the training ended. */
export async function recordPack(
  services: ActivityServices,
  training: TrainingContext,
  { cells, chosen, exported, measured }: RecordPackInput,
  tools: TrainingTools,
): Promise<TrainingResult> {
  const { manifest, store, files } = training;
  const { recipe } = manifest;
  return inWorkFolder(services, training, 'pack', tools, recipe.parameters, async ({ data, scratch }) => {
    const folder = join(scratch, recipe.name);
    await getFolder(store.artifacts, manifest.data.folder, data);
    await getFolder(store.artifacts, exported.model, join(folder, armSource(recipe.kind)));
    const curve = Buffer.from(await store.getArtifact(chosen.curve)).toString('utf8');
    const parents = [exported.model.digest, measured.measured.digest, chosen.curve.digest];
    const svg = await makeTrainingPack(folder, {
      manifest,
      cells,
      chosen,
      curve: curve.split('\n').filter(Boolean).map((line) => JSON.parse(line) as CurvePoint), // prettier-ignore
      largestDifference: exported.largestDifference,
      measured: JSON.parse(Buffer.from(await store.getArtifact(measured.measured)).toString('utf8')) as Record<string, unknown>,
      taught: (await readTaught(data))!,
    });
    const picture = await store.putArtifact(Buffer.from(svg), 'image/svg+xml', [chosen.curve.digest]);
    const pack = await putFolder(store.artifacts, folder, { derivedFrom: parents });
    const result: TrainingResult = {
      cells,
      chosen: chosen.cell,
      largestDifference: exported.largestDifference,
      steps: [exported.key, measured.key],
      measured: measured.measured,
      curve: chosen.curve,
      picture,
      pack,
    };
    await files.writeResult(result);
    return result;
  });
}
