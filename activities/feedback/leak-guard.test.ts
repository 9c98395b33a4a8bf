import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { itemKey } from '../../core/ids.js';
import type { ArmPlan } from '../../core/item-plan.js';
import type { FeedbackRecipe } from '../../core/recipe.js';
import type { Digest, StepKeyInput } from '../../core/types.js';
import { openStore, type Store } from '../../engine/storage/index.js';
import type { RunContext } from '../services.js';
import { refuseLeak } from './leak-guard.js';

let folder: string;
let store: Store;
let run: RunContext;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'refineloop-leak-'));
  store = await openStore(folder);
  const arm = (name: string, oracle: boolean) => ({ name, oracle, source: 'chat' }) as ArmPlan;
  const arms = [arm('vlm', false), arm('seer', true)];
  const recipe = { arms: arms.map(({ name, oracle }) => ({ name, oracle, feedback: { source: 'chat' } })) };
  run = { plan: { arms }, manifest: { recipe }, store, files: store.run('r') } as unknown as RunContext;
});
afterEach(() => rm(folder, { recursive: true }));

const put = (text: string, derivedFrom: Digest[] = []) => store.putArtifact(Buffer.from(text), 'text/plain', derivedFrom);

/** A recorded step with one output and what it was made from. */
async function step(key: string, inputs: Digest[], output: string) {
  const made = await put(output, inputs);
  const input: StepKeyInput = { step: 'generate', stepVersion: 1, inputs, params: {}, model: null, runtime: null, draw: 0 };
  await store.recordStep({ ...input, key, outputs: { made }, values: {}, unpinned: false, seconds: 0 });
  return made;
}

/** @param writesFor the arm that the critic writes for: its own, or one that swaps its pictures for the other item's */
async function critique(arm: string, picture: Awaited<ReturnType<typeof put>>, trail: string[], writesFor = arm) {
  const id = 'a';
  const rest = { caption: 'c', feedback: {}, strata: {}, trainedOn: [], source: { file: 'm', line: 1 } };
  await run.files.writeIndexShard(0, [
    { offset: 0, position: 0, id, key: itemKey(id), trueImage: await put('the true picture'), placebo: 1, ...rest },
    { offset: 1, position: 1, id: 'b', key: itemKey('b'), trueImage: await put('the other true picture'), placebo: 0, ...rest },
  ]);
  await run.files.writeIndexSummary({ total: 2, items: 2, skipped: 0, shardSize: 500, shards: 1 });
  const item = { run: { runId: 'r', store: store.uri }, offset: 0, id, key: itemKey(id) };
  const input = { item, at: { arm: writesFor, round: 1, draw: 0 }, arm, critique: { picture, features: null, earlier: [], trail } };
  return refuseLeak(run, input, [picture.digest]);
}

test('a picture with a clean lineage is shown', async () => {
  await expect(critique('vlm', await step('k1', [], 'picture'), ['k1'])).resolves.toBeUndefined();
});

test('the true picture itself, planted as input, fails the step', async () => {
  const trueImage = await put('the true picture');
  const planted = await step('k1', [trueImage.digest], 'the true picture');
  await expect(critique('vlm', planted, ['k1'])).rejects.toMatchObject({
    code: 'InvalidInput',
    message: expect.stringContaining('oracle: true'),
  });
});

test.each(['opt', 'blip2', 'vlm', 'chat', 'rewrite'] as const)('a critic of source %s is not shown the true picture', async (source) => {
  run.manifest.recipe.arms.forEach((arm) => (arm.feedback = { source } as FeedbackRecipe));
  const trueImage = await put('the true picture');
  await expect(critique('vlm', await step('k1', [trueImage.digest], 'the true picture'), ['k1'])).rejects.toThrow('oracle: true');
  await expect(critique('vlm', await put('from nowhere'), [])).rejects.toMatchObject({ code: 'StorageUnavailable' });
});

test('a picture that was made from words of someone who saw the true picture fails the step, and not an oracle', async () => {
  const trueImage = await put('the true picture');
  const words = await step('k1', [trueImage.digest], 'it should be red');
  const picture = await step('k2', [words.digest], 'picture');
  await expect(critique('vlm', picture, ['k1', 'k2'])).rejects.toMatchObject({ code: 'InvalidInput' });
  await expect(critique('seer', picture, ['k1', 'k2'])).resolves.toBeUndefined();
});

test('what no record accounts for is not shown', async () => {
  await expect(critique('vlm', await put('from nowhere'), [])).rejects.toMatchObject({ code: 'StorageUnavailable' });
});

test('a critic that writes on another item’s picture is shown a generated one, and never that item’s true picture either', async () => {
  await expect(critique('vlm', await step('k1', [], 'the other picture'), ['k1'], 'blind')).resolves.toBeUndefined();
  const other = await put('the other true picture');
  const planted = await step('k2', [other.digest], 'made from it');
  await expect(critique('vlm', planted, ['k2'], 'blind')).rejects.toMatchObject({ code: 'InvalidInput' });
  const own = await step('k3', [(await put('the true picture')).digest], 'made from the own one');
  await expect(critique('vlm', own, ['k3'], 'blind')).rejects.toMatchObject({ code: 'InvalidInput' });
});
