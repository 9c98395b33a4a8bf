/** Generators as the ecosystem exports them, with random weights: a recipe that names one of the folders runs. */
import { jest } from '@jest/globals';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { cli, cliJson, ROOT, scratch } from '../support/cli.js';
import { readItems, readLedger, type RunDocument } from '../support/runs.js';
import { CONTROL, PACK_SCORES, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(120_000);

const MODELS = join(ROOT, 'models/reference/goldens/diffusion-models');

function recipeWith(folder: string, model: string, limit: number, arms: unknown[], generator = {}): string {
  return writeRecipe(folder, {
    limit,
    arms,
    generator: { model, scheduler: null, num_inference_steps: 4, ...generator },
    more: { scores: { ...PACK_SCORES, report: [] } },
  });
}

test.each(['sd1', 'sd2', 'sdxl', 'sd1-fp16', 'sd1-int8'])('%s: pictures, edits, long and weighted prompts', async (model) => {
  const folder = scratch();
  const edited = { ...WRITTEN, name: 'edited', refine: 'chunk', strength: 0.5 };
  const recipe = recipeWith(folder, join(MODELS, model), 1, [CONTROL, edited], { prompt_weights: true, vae_tiling: true, height: 40 });
  const run = await cliJson<RunDocument>(['run', recipe, '--run', 'one', '--store', join(folder, 'store')]);
  expect(run).toMatchObject({ state: 'completed', items: { done: 1 } });
  const [item] = await readItems(join(folder, 'store'), 'one');
  expect(new Set(item!.arms.flatMap(({ rounds }) => rounds.map(({ image }) => image.digest))).size).toBe(3);
});

test('a picture that the safety checker blocks is drawn anew, and the ledger says why', async () => {
  const folder = scratch();
  const model = join(folder, 'model');
  mkdirSync(model);
  for (const part of ['model_index.json', 'tokenizer', 'text_encoder', 'unet', 'vae_decoder', 'scheduler'])
    symlinkSync(join(MODELS, 'sd1', part), join(model, part));
  for (const part of ['safety_checker', 'feature_extractor']) symlinkSync(join(MODELS, 'safety', part), join(model, part));
  const store = join(folder, 'store');
  await cli(['run', recipeWith(folder, model, 6, [CONTROL]), '--run', 'one', '--store', store]);
  const drawn = (await readLedger(store, 'one')).filter(({ step }) => step === 'generate');
  const blocked = drawn.filter(({ error }) => error?.includes("blocked by the model's safety checker"));
  expect(blocked.length).toBeGreaterThan(0);
  const again = drawn.filter(({ item, round, draw }) =>
    blocked.some((b) => b.item === item && b.round === round && draw === b.draw + 1000),
  );
  expect(again.filter(({ status }) => status === 'completed').length).toBeGreaterThan(0);
});
