/** A critic whose best text of several is kept, its placebo, and the same critic on other items' pictures: on the bundled models. */
import { jest } from '@jest/globals';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ResultsDocument } from '../../app/report/index.js';
import type { ItemRecord } from '../../core/types.js';
import { openStore } from '../../engine/storage/index.js';
import { cliJson, scratch } from '../support/cli.js';
import { completed, readItems, readLedger, type RunDocument } from '../support/runs.js';
import { CONTROL, PACK, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

const folder = scratch();
const store = join(folder, 'store');
const pack = join(folder, 'pack');
const MEASURED = { trainLoss: 0.5, validationLoss: 0.9, validationLossWithAnotherItemsPicture: 1.4 };
const CANDIDATES = 3;
const ROUNDS = 2;
const ARMS = [
  CONTROL,
  {
    name: 'opt',
    candidates: CANDIDATES,
    feedback: { source: 'opt', model: join(pack, 'opt'), image_encoder: join(pack, 'vit-mae'), max_new_tokens: 12, temperature: 2 },
  },
  { name: 'placebo', feedback: { source: 'shuffled', from: 'opt' } },
  { name: 'blind', feedback: { source: 'shuffled', from: 'opt', swap: 'picture' } },
];

let run: RunDocument;
let report: ResultsDocument;
let items: ItemRecord[];
const recipe = () => writeRecipe(folder, { limit: 2, rounds: ROUNDS, arms: ARMS });
const armOf = (item: ItemRecord, name: string) => item.arms.find((arm) => arm.name === name)!;

beforeAll(async () => {
  // A pack that tells what its critic was taught.
  cpSync(PACK, pack, { recursive: true });
  const file = join(pack, 'pack.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { models: Record<string, { trainedOn: object; measured?: object }> };
  const { opt } = manifest.models;
  Object.assign(opt!, {
    measured: MEASURED,
    trainedOn: { ...opt!.trainedOn, feedback: ['It should be red.', 'It should have two tails.'] },
  });
  writeFileSync(file, JSON.stringify(manifest));
  run = await cliJson(['run', recipe(), '--run', 'best', '--store', store]);
  report = await cliJson(['report', 'best', '--store', store]);
  items = await readItems(store, 'best');
}, 300_000);

test('each round makes a picture for every text, and goes on from the one that the selector likes best', () => {
  expect(run).toMatchObject({ state: 'completed', items: { total: 2, done: 2, failed: 0 } });
  for (const item of items) {
    for (const name of ['opt', 'placebo', 'blind']) {
      const [round0, ...rounds] = armOf(item, name).rounds;
      expect(rounds).toHaveLength(ROUNDS);
      for (const [i, round] of rounds.entries()) {
        const candidates = round.candidates!;
        expect(new Set(candidates.map(({ feedback }) => feedback.text)).size).toBe(candidates.length);
        const best = Math.max(...candidates.map(({ score }) => score));
        expect(round.scores['clip_text']).toBe(best);
        expect(candidates.find(({ image }) => image.digest === round.image.digest)).toMatchObject({ score: best, feedback: { text: round.feedback!.text } }); // prettier-ignore
        // By their words alone: with round 0's seed, after the feedback that was kept before.
        expect(round.seed).toBe(round0!.seed);
        expect(round.prompt.parts.slice(1, -1).map(({ text }) => text)).toEqual(rounds.slice(0, i).map(({ feedback }) => feedback!.text));
      }
    }
  }
});

test('the placebo chooses among what was written on the other item, the swapped arm writes on its picture for the own caption', async () => {
  const [first, second] = items as [ItemRecord, ItemRecord];
  const texts = (item: ItemRecord, name: string) => armOf(item, name).rounds.slice(1).map(({ candidates }) => candidates!.map(({ feedback }) => feedback.text)); // prettier-ignore
  expect(texts(first, 'placebo')).toEqual(texts(second, 'opt'));
  expect(texts(second, 'placebo')).toEqual(texts(first, 'opt'));
  const steps = (await openStore(store)).steps;
  for (const [own, other] of [
    [first, second],
    [second, first],
  ] as const) {
    // prettier-ignore
    for (const round of [1, 2]) {
      const { features, feedback } = armOf(own, 'blind').rounds[round]!.steps as { features: string; feedback: string };
      expect((await steps.readStep(features))!.inputs).toEqual([armOf(other, 'opt').rounds[round - 1]!.image.digest]);
      const { params } = (await steps.readStep(feedback))!;
      expect(params['caption']).toBe(report.items.find(({ id }) => id === own.id)!.caption);
    }
  }
});

test('every picture is a generator call, the control draws as many, and nothing is drawn for a placebo that was drawn already', async () => {
  const ledger = completed(await readLedger(store, 'best', true));
  expect(new Set(ledger.map(({ key }) => key)).size).toBe(ledger.length);
  const calls = (name: string) => items.reduce((sum, item) => sum + armOf(item, name).rounds.reduce((n, { candidates }) => n + (candidates?.length ?? 0), 0), 0); // prettier-ignore
  const of = (name: string) => report.arms.find((arm) => arm.name === name)!;
  expect(of('control').generatorCalls).toBe(items.length * ROUNDS * CANDIDATES);
  for (const name of ['opt', 'placebo', 'blind']) expect(of(name)).toMatchObject({ generatorCalls: calls(name), unmatched: 0 });
  expect(of('opt').feedbackCalls).toBe(items.length * ROUNDS * CANDIDATES);
  expect(of('opt').generatorCalls).toBeGreaterThan(items.length * ROUNDS);
});

test('the report tells what the critic copied, how its training went and how it does on the other picture', () => {
  const opt = report.arms.find(({ name }) => name === 'opt')!;
  expect(opt).toMatchObject({ otherPicture: 'blind', placebo: 'placebo', training: { ...MEASURED, items: expect.any(Number) } });
  expect(opt.copied!.ngrams.map(({ n }) => n)).toEqual([1, 2, 3, 4]);
  expect(opt.copied!.ngrams[0]!.share).toBeGreaterThan(0);
  expect(opt.scores['image_similarity']!.fixed.vsOtherPicture).toMatchObject({ n: 2 });
});

test('a second run finds all of it recorded; the picture that was kept is made again bit for bit', async () => {
  const again = await cliJson<RunDocument>(['run', recipe(), '--run', 'again', '--store', store]);
  expect(again).toMatchObject({ state: 'completed', resultsDigest: run.resultsDigest });
  expect(again.steps.executed).toBe(0);
  const remade = await cliJson<{ remade: { same: boolean } }>([
    ...['explain', 'best', items[0]!.id, '2', '--arm', 'blind', '--remake', join(folder, 'again.png'), '--store', store],
  ]);
  expect(remade.remade.same).toBe(true);
  expect(await cliJson(['verify', 'best', '--store', store])).toMatchObject({ corrupt: [], missing: [], spoiltRecords: [] });
});
