import type { Digest, Recipe } from '../../core/index.js';
import { loadRecipe } from './load-recipe.js';
import { defaultRunId, modelPaths, recipeDigest, sharedModelProblem } from './recipe-digest.js';
import { FULL_RECIPE, recipeFolder } from './test-recipe.js';

let folder: Awaited<ReturnType<typeof recipeFolder>>;
let recipe: Recipe;
beforeAll(async () => {
  folder = await recipeFolder();
  recipe = (await loadRecipe(await folder.write(FULL_RECIPE))).recipe;
});
afterAll(() => folder.remove());

const digests = (model: string): Record<string, Digest> => ({
  '../pack/diffusion': `sha256:${model}`,
  '../pack/selector': 'sha256:s',
  '../pack/similarity': 'sha256:t',
});

test('lists the models as written', () => {
  expect(modelPaths(recipe)).toEqual(['../pack/diffusion', '../pack/selector', '../pack/similarity']);
});

test('follows the models and the recipe, not the place of the models', () => {
  const digest = recipeDigest(recipe, digests('a'));
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(recipeDigest(recipe, digests('b'))).not.toBe(digest);
  expect(recipeDigest({ ...recipe, rounds: 3 }, digests('a'))).not.toBe(digest);
  const moved = { ...recipe, generator: { ...recipe.generator, model: '../there' } };
  expect(recipeDigest(moved, { ...digests('a'), '../there': 'sha256:a' })).toBe(digest);
  expect(defaultRunId(recipe, digest)).toBe(`full-${digest.slice(7, 15)}`);
});

test('a primary that is the selector, or a critic, under another path is found by its digest', () => {
  expect(sharedModelProblem(recipe, digests('a'))).toBeNull();
  expect(sharedModelProblem(recipe, { ...digests('a'), '../pack/similarity': 'sha256:s' })).toMatch(
    /the same model as \.\.\/pack\/selector/,
  );
  const vlm = { source: 'vlm', model: '../copy', instructions: null, memory: false, maxNewTokens: 64 } as const;
  const criticised = { ...recipe, arms: recipe.arms.map((arm) => (arm.name === 'written' ? { ...arm, feedback: vlm } : arm)) };
  expect(sharedModelProblem(criticised, { ...digests('a'), '../copy': 'sha256:c' })).toBeNull();
  expect(sharedModelProblem(criticised, { ...digests('a'), '../copy': 'sha256:t' })).toMatch(
    /similarity is the same model as \.\.\/copy, which writes the feedback of arm written/,
  );
});
