/** Critics on a run's own device, each a small model of the true architecture: an OPT, a BLIP-2 and a SmolVLM, with a placebo of one. */
import { jest } from '@jest/globals';
import { join } from 'node:path';
import { cliJson, ROOT, scratch } from '../support/cli.js';
import { completed, readLedger, type LedgerRow, type RunDocument } from '../support/runs.js';
import { CONTROL, PACK, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(240_000);

const MODELS = join(ROOT, 'models/reference/goldens/language-models');
const folder = scratch();
const store = join(folder, 'store');
const short = { max_new_tokens: 8 };
const ARMS = [
  CONTROL,
  { name: 'opt', feedback: { source: 'opt', model: join(PACK, 'opt'), image_encoder: join(PACK, 'vit-mae') } },
  { name: 'blip2', feedback: { source: 'blip2', model: join(MODELS, 'blip2-opt'), num_beams: 2, no_repeat_ngram_size: 2, ...short } },
  { name: 'vlm', feedback: { source: 'vlm', model: join(MODELS, 'smolvlm'), memory: true, do_sample: true, top_p: 0.9, ...short } },
  { name: 'placebo', feedback: { source: 'shuffled', from: 'blip2' } },
];

interface Report {
  items: Array<{ caption: string; arms: Array<{ name: string; rounds: Array<{ prompt: string; feedback: string | null }> }> }>;
}

let run: RunDocument;
let ledger: LedgerRow[];
beforeAll(async () => {
  const recipe = writeRecipe(folder, { limit: 2, rounds: 2, arms: ARMS });
  run = await cliJson(['run', recipe, '--run', 'critics', '--store', store]);
  ledger = completed(await readLedger(store, 'critics', true)).filter(({ step }) => step === 'feedback');
}, 240_000);

test('every arm has the words of its own model in its prompts, and the placebo those on the other item', async () => {
  expect(run).toMatchObject({ state: 'completed', items: { total: 2, done: 2, failed: 0 } });
  const { items } = await cliJson<Report>(['report', 'critics', '--store', store]);
  const feedbackOf = (item: Report['items'][number], name: string) =>
    item.arms
      .find((arm) => arm.name === name)!
      .rounds.slice(1)
      .map(({ feedback }) => feedback);
  for (const item of items) {
    expect(feedbackOf(item, 'control')).toEqual([null, null]);
    for (const name of ['opt', 'blip2', 'vlm']) expect(feedbackOf(item, name)).toEqual([expect.any(String), expect.any(String)]);
    const [, round1] = item.arms.find(({ name }) => name === 'blip2')!.rounds;
    expect(round1!.prompt).toBe(`${item.caption} ${round1!.feedback}`);
  }
  const [first, second] = items as [Report['items'][number], Report['items'][number]];
  expect(feedbackOf(first, 'blip2')).not.toEqual(feedbackOf(second, 'blip2'));
  expect(feedbackOf(first, 'placebo')).toEqual(feedbackOf(second, 'blip2'));
  expect(feedbackOf(second, 'placebo')).toEqual(feedbackOf(first, 'blip2'));
  expect(new Set(ledger.map(({ arm }) => arm))).toEqual(new Set(['opt', 'blip2', 'vlm']));
});

test('a second run of the same recipe has all of it recorded', async () => {
  const again = await cliJson<RunDocument>(['run', join(folder, 'recipe.yaml'), '--run', 'again', '--store', store]);
  expect(again).toMatchObject({ state: 'completed', resultsDigest: run.resultsDigest });
  expect(again.steps.executed).toBe(0);
});
