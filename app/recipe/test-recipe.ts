import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RecipeError, type RecipeIssue } from './recipe-error.js';

/** Every field of the format, one a line, so that a line number names a field. */
export const FULL_RECIPE = `name: full
dataset:
  uri: ../data
  split: test
  sample:
    n: 24
    seed: 7
  columns:
    id: id
    caption: text
    image: file_name
    feedback: feedback
store: file:./runs
seed: 7
generator:
  model: ../pack/diffusion
  provider: onnx
  scheduler: ddim
  num_inference_steps: 20
  guidance_scale: 5
  negative_prompt: ""
  height: 64
  width: 64
rounds: 2
arms:
  - name: control
    seeds: keep
  - name: written
    oracle: true
    feedback:
      source: dataset
      column: feedback
    refine: append
  - name: placebo
    feedback:
      source: shuffled
      from: written
scores:
  select: clip_text
  primary:
    metric: image_similarity
    model: ../pack/similarity
  report: [ssim, psnr]
stop:
  target: 0.9
  patience: 1
  min_gain: 0
gate:
  score: 0.9
batching: exact
budget:
  images: 100
  seconds: 60
  usd: 1
`;

/** A folder of its own with `recipes/` and a pack of empty model folders; removed by `remove`. */
export async function recipeFolder() {
  const root = await mkdtemp(join(tmpdir(), 'refineloop recipe-'));
  for (const model of ['diffusion', 'selector', 'similarity']) await mkdir(join(root, 'pack', model), { recursive: true });
  await mkdir(join(root, 'lone', 'diffusion'), { recursive: true });
  await mkdir(join(root, 'recipes'));
  await writeFile(join(root, 'pack', 'pack.json'), '{}');
  let files = 0;
  return {
    root,
    async write(text: string): Promise<string> {
      const file = join(root, 'recipes', `${files++}.yaml`);
      await writeFile(file, text);
      return file;
    },
    remove: () => rm(root, { recursive: true }),
  };
}

/** What a refused recipe is refused for. */
export async function issuesOf(loading: Promise<unknown>): Promise<RecipeIssue[]> {
  const error: unknown = await loading.then(
    () => new Error('the recipe was accepted'),
    (e: unknown) => e,
  );
  if (error instanceof RecipeError) return error.issues;
  throw error;
}
