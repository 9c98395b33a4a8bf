/** From feedback that a person wrote on a run's pictures to an arm that writes its own, by two commands, with the training program that comes along. */
import { jest } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainingStatus } from '../../app/client/training-status.js';
import type { ResultsDocument } from '../../app/report/index.js';
import { loadPack } from '../../engine/inference/index.js';
import { cliJson, scratch } from '../support/cli.js';
import type { RunDocument } from '../support/runs.js';
import { CONTROL, PACK, WRITTEN, writeRecipe } from '../support/small-recipe.js';
import { python, runPython } from '../support/training.js';

jest.setTimeout(600_000);

test('a critic is tuned on a run, its pack says on what, and a run with its arm leaves those items out', async () => {
  const folder = scratch();
  const store = ['--store', join(folder, 'runs')];
  await cliJson(['run', writeRecipe(folder, { limit: 6, arms: [CONTROL, WRITTEN] }), '--run', 'taught', ...store]);
  const made = await runPython('test/training/tiny_models.py', [PACK, join(folder, 'base')]);
  if (made.code !== 0) throw new Error(made.stderr);
  const recipe = join(folder, 'training.yaml');
  writeFileSync(
    recipe,
    JSON.stringify({
      name: 'tuned',
      data: { run: 'taught', validation: 0.34 },
      model: { source: 'opt', image: 'soft', base: './base/opt', image_encoder: join(PACK, 'vit-mae') },
      training: { learning_rate: 0.01, max_steps: 4, batch_size: 2, checkpoint_steps: 2 },
      out: './pack',
    }),
  );
  const done = await cliJson<TrainingStatus & { arm: { name: string; feedback: object } }>([
    'train',
    recipe,
    '--python',
    python(),
    ...store,
  ]);
  expect(done).toMatchObject({ state: 'completed', failure: null, cells: [{ state: 'trained', step: 4 }] });
  const { opt } = (await loadPack(join(folder, 'pack'))).models;
  expect(opt!.trainedOn.digests).toHaveLength(6);
  expect(opt).toMatchObject({
    trainedOn: { feedback: expect.arrayContaining([expect.any(String)]) },
    measured: { validationLoss: expect.any(Number), validationLossWithAnotherItemsPicture: expect.any(Number) },
    lineage: { from: { run: 'taught' } },
  });

  // Weights that are nearly random say one word over and over.
  const arm = { ...done.arm, feedback: { ...done.arm.feedback, no_repeat_ngram_size: 1 } };
  const next = writeRecipe(folder, { limit: 7, arms: [CONTROL, arm] });
  expect(await cliJson<RunDocument>(['run', next, '--run', 'next', ...store])).toMatchObject({ state: 'completed', items: { done: 7 } });
  const report = await cliJson<ResultsDocument>(['report', 'next', ...store]);
  expect(report.excluded).toHaveLength(6);
  expect(report.arms.map(({ n }) => n)).toEqual([1, 1]);
});
