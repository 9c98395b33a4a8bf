/** A recipe on the bundled models and drawings that is quick: few items, two denoising steps, one round. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './cli.js';

export interface SmallRecipe {
  /** Items. Default 3. */
  limit?: number;
  /** Denoising steps: more make an image take longer. Default 2. */
  steps?: number;
  rounds?: number;
  /** Further fields of the generator. */
  generator?: Record<string, unknown>;
  arms?: unknown[];
  dataset?: Record<string, unknown>;
  /** Further fields of the recipe, such as `budget`. */
  more?: Record<string, unknown>;
}

export const CONTROL = { name: 'control' };
export const WRITTEN = { name: 'written', oracle: true, feedback: { source: 'dataset', column: 'feedback' } };
export const PLACEBO = { name: 'placebo', feedback: { source: 'shuffled', from: 'written' } };

export const PACK = join(ROOT, 'models/packs/creatures');
export const OPT = { name: 'opt', feedback: { source: 'opt', model: join(PACK, 'opt'), image_encoder: join(PACK, 'vit-mae') } };
export const CREATURES = join(ROOT, 'examples/datasets/creatures');

/** Scores by the pack's own encoders, which a generator that is in no pack does not bring along. */
export const PACK_SCORES = {
  select: { metric: 'clip_text', model: join(PACK, 'selector') },
  primary: { metric: 'image_similarity', model: join(PACK, 'similarity') },
};

/** Writes it into a folder and returns its path. JSON is YAML. */
export function writeRecipe(
  folder: string,
  { limit = 3, steps = 2, rounds = 1, arms, dataset, generator, more }: SmallRecipe = {},
): string {
  const recipe = {
    name: 'small',
    dataset: dataset ?? { uri: CREATURES, split: 'test', limit },
    seed: 7,
    generator: { model: join(PACK, 'diffusion'), scheduler: 'ddim', num_inference_steps: steps, guidance_scale: 5, ...generator },
    rounds,
    arms: arms ?? [CONTROL, WRITTEN, PLACEBO],
    scores: { select: 'clip_text', primary: 'image_similarity', report: ['ssim'] },
    ...more,
  };
  const file = join(folder, 'recipe.yaml');
  writeFileSync(file, JSON.stringify(recipe, null, 2));
  return file;
}
