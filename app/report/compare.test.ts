import { jest } from '@jest/globals';
import { testRun, type ItemScores } from '../../test/browser/hand-made-run.js';
import { compareRuns } from './compare.js';
import { buildResults, type ResultsInput } from './results.js';

jest.setTimeout(60_000);

/** Items whose written arm ends `lifts[i]` above a round 0 at `start`; control and placebo stay where they were. */
function run(runId: string, lifts: number[], start = 0.5): ResultsInput {
  const items = lifts.map((lift): ItemScores => {
    const still: ItemScores[string] = [[start, 0.2], [start, 0.2], [start, 0.2]]; // prettier-ignore
    return { control: still, written: [[start, 0.2], [start, 0.3], [start + lift, 0.4]], placebo: still }; // prettier-ignore
  });
  const input = testRun(items);
  return { ...input, manifest: { ...input.manifest, runId } };
}

const eight = (lift: number): number[] => Array<number>(8).fill(lift);
const compared = async (...inputs: ResultsInput[]) => compareRuns(await Promise.all(inputs.map(buildResults)));

test('pairs by item: the difference of gains and of scores, by hand', async () => {
  // Gains 0.1, 0.2, 0.3 against 0.2, 0.2, 0.5: differences 0.1, 0, 0.2. Round 0 lies 0.1 higher: scores differ by 0.1 more.
  const { comparisons, items } = await compared(run('a', [0.1, 0.2, 0.3]), run('b', [0.2, 0.2, 0.5], 0.6));
  const written = comparisons.find(({ arm, metric }) => arm === 'written' && metric === 'image_similarity')!;
  expect(written.gains.first).toBeCloseTo(0.2, 12);
  expect(written.gains.here).toBeCloseTo(0.3, 12);
  expect(written.gain.mean).toBeCloseTo(0.1, 12);
  expect(written.score.mean).toBeCloseTo(0.2, 12);
  expect(written.gain).toMatchObject({ n: 3, wins: 2, losses: 0 });
  expect(items).toEqual([{ runId: 'b', paired: 3, onlyFirst: 0, onlyHere: 0, otherItem: 0, leftOut: 0 }]);
});

test('a run against itself differs in nothing', async () => {
  const { comparisons, differences, warnings } = await compared(run('a', [0.1, 0.2]), run('again', [0.1, 0.2]));
  expect(new Set(comparisons.map(({ gain, score }) => `${gain.mean} ${score.mean}`))).toEqual(new Set(['0 0']));
  expect([differences, warnings]).toEqual([[], []]);
});

test('p of the primary score is Holm-corrected over all runs and arms', async () => {
  const { comparisons } = await compared(run('a', eight(0.1)), run('b', eight(0.3)), run('c', eight(0.2)));
  const of = (runId: string) => comparisons.find((c) => c.runId === runId && c.arm === 'written' && c.metric === 'image_similarity')!;
  // All eight signs alike: p = 2 / 2^8. Six comparisons of the primary (three arms, two runs), four of them of no difference at all.
  expect(of('b').gain.p).toBe(2 / 256);
  expect(of('b').gain.pAdjusted).toBeCloseTo((6 * 2) / 256, 12);
  expect(of('c').gain.pAdjusted).toBeCloseTo((6 * 2) / 256, 12);
});

test('names what differs, by model digests and not by paths', async () => {
  const other = run('b', [0.1, 0.2]);
  other.manifest.recipe = { ...other.manifest.recipe, rounds: 3, generator: { ...other.manifest.recipe.generator, model: './moved' } };
  other.manifest.models = { './moved': other.manifest.models['./g']! };
  const { differences } = await compared(run('a', [0.1, 0.2]), other);
  expect(differences).toEqual([{ field: 'rounds', values: ['2', '3'] }]);
});

test('items that only share an id are in no pair; a score by another model is not compared; both are said', async () => {
  const [first, other] = [run('a', [0.1, 0.2, 0.3]), run('b', [0.1, 0.2, 0.3])];
  for (const [input, digest] of [[first, 'sha256:1'], [other, 'sha256:2']] as const) {
    input.manifest.models['./s'] = { path: '/s', digest: digest, trainedOn: [] };
  } // prettier-ignore
  other.items = other.items.map((item, i) => (i === 0 ? { ...item, caption: 'another caption' } : item));
  const { comparisons, items, warnings } = await compared(first, other);
  expect(items[0]).toMatchObject({ paired: 2, otherItem: 1 });
  expect(new Set(comparisons.map(({ metric }) => metric))).toEqual(new Set(['image_similarity']));
  expect(warnings).toEqual([
    'b: judges clip_text with another model, so its scores are not compared.',
    'b: items with an id of a and another caption or true picture, which are in no pair: 1.',
  ]);
});

test('runs that share nothing are refused', async () => {
  const other = run('b', [0.1]);
  other.items = other.items.map((item) => ({ ...item, id: 'other', key: item.key }));
  await expect(compared(run('a', [0.1]), other)).rejects.toThrow(/nothing in b can be compared with a/);
});
