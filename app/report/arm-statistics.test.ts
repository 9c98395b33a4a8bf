import { jest } from '@jest/globals';
import { ARMS, arm, testRun, type ItemScores, type Scores } from '../../test/browser/hand-made-run.js';
import { directionNote } from './format.js';
import { buildResults, type ResultsInput } from './results.js';

jest.setTimeout(60_000);

/** Primary scores by round; the selector likes later rounds better. */
const rounds = (...primary: number[]): Scores[] => primary.map((score, round) => [score, 0.2 + round / 10]);

/** Every number below follows from these by hand: round 0 at 0.5, gains written in tenths. */
async function results(
  items: Array<Record<string, [number, number]>>,
  arms = ARMS,
  change: (input: ResultsInput) => ResultsInput = (i) => i,
) {
  const scores = items.map((item): ItemScores =>
    Object.fromEntries(Object.entries(item).map(([name, [one, two]]) => [name, rounds(0.5, 0.5 + one / 10, 0.5 + two / 10)])),
  );
  const doc = await buildResults(change(testRun(scores, arms)));
  return { doc, of: (name: string) => doc.arms.find((a) => a.name === name)! };
}

const STILL = { control: [0, 0], placebo: [0, 0] } satisfies Record<string, [number, number]>;

test('a curve has the mean gain of every round, and retention the way from the best round to the last', async () => {
  // Gains of written: round 1 is 2, 4 and 3 tenths, round 2 is 1, 2 and 3: means 0.3 and 0.2; last minus best -1, -2 and 0.
  const { of } = await results([
    { ...STILL, written: [2, 1] },
    { ...STILL, written: [4, 2] },
    { ...STILL, written: [3, 3] },
  ]);
  const { curve, retention } = of('written');
  expect(curve.map(({ round, n }) => [round, n])).toEqual([[0, 3], [1, 3], [2, 3]]); // prettier-ignore
  [0, 0.3, 0.2].forEach((gain, round) => expect(curve[round]!.gainMean).toBeCloseTo(gain, 12));
  expect(retention).toMatchObject({ bestRound: 1, change: { n: 3, wins: 0, ties: 1, losses: 2 } });
  expect(retention!.change.mean).toBeCloseTo(-0.1, 12);
  expect(of('control').retention).toBeNull();
});

test('of a score that is lower where it is better, a fall is a gain', async () => {
  const asLpips = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('image_similarity', 'lpips')) as T;
  // By similarity `written` gains 2 and 4 tenths over round 0 and the placebo loses 1: as a distance, the other way about.
  const items = [
    { control: [0, 0], placebo: [0, -1], written: [1, 2] },
    { control: [0, 0], placebo: [0, -1], written: [2, 4] },
  ] satisfies Array<Record<string, [number, number]>>;
  const { doc, of } = await results(items, ARMS, (input) => ({
    ...input,
    manifest: asLpips(input.manifest),
    records: asLpips(input.records),
  }));
  const { mean, fixed } = of('written').scores['lpips']!;
  expect(mean).toBeCloseTo(0.8, 12);
  expect(fixed).toMatchObject({ wins: 0, losses: 2 });
  expect(fixed.gainMean).toBeCloseTo(-0.3, 12);
  expect(fixed.vsControl!.mean).toBeCloseTo(-0.3, 12);
  expect(fixed.vsPlacebo!.mean).toBeCloseTo(-0.4, 12);
  expect(of('placebo').scores['lpips']!.fixed).toMatchObject({ wins: 2, losses: 0 });
  expect(of('written').curve.map(({ gainMean }) => Number(gainMean.toFixed(9)))).toEqual([0, -0.15, -0.3]);
  expect(doc.items[1]!.arms.find(({ name }) => name === 'written')!.gain['lpips']).toBeCloseTo(-0.4, 12);
  expect(directionNote('lpips')).toContain('lower is better');
});

test('an effect size is the mean difference in standard deviations of the differences', async () => {
  // Over a control that stays: 1, 2 and 3 tenths have mean 2 and standard deviation 1.
  const { of } = await results([1, 2, 3].map((gain) => ({ ...STILL, written: [0, gain] })));
  expect(of('written').scores['image_similarity']!.fixed.vsControl!.effectSize).toBeCloseTo(2, 10);
});

test('the attainable share lies between the placebo’s gain and the best oracle’s', async () => {
  const arms = [
    arm('control', null),
    arm('opt', { source: 'dataset', column: 'opt' }),
    arm('opt-placebo', { source: 'shuffled', from: 'opt' }),
    arm('written', { source: 'dataset', column: 'feedback' }, true),
    arm('better', { source: 'dataset', column: 'better' }, true),
  ];
  // (2 - 1) of (5 - 1) tenths; `written` at 3 is not the best oracle.
  const one = { control: [0, 0], opt: [0, 2], 'opt-placebo': [0, 1], written: [0, 3], better: [0, 5] } satisfies Record<
    string,
    [number, number]
  >;
  const { of } = await results([one, one], arms);
  expect(of('opt').attainable).toMatchObject({ oracle: 'better' });
  expect(of('opt').attainable!.share).toBeCloseTo(0.25, 12);
  expect(of('written').attainable).toBeNull();
  // An oracle that does no better than the placebo is no scale.
  const flat = await results([{ ...one, better: [0, 1], written: [0, 0] }], arms);
  expect(flat.of('opt').attainable).toBeNull();
});

test('repeats: an item counts once, and the variance of items and of seeds is told apart', async () => {
  // Gains of two repeats: 0 and 2 tenths, 2 and 4. Means 1 and 3; between (4 - 2) / 2 = 1, within 2, in squared tenths.
  const gains = [[0, 2], [2, 4]] as const; // prettier-ignore
  const { of } = await results(
    [
      { ...STILL, written: [0, 0] },
      { ...STILL, written: [0, 0] },
    ],
    ARMS,
    (input) => ({
      ...input,
      manifest: { ...input.manifest, recipe: { ...input.manifest.recipe, repeats: 2 } },
      records: input.records.map((record, item) => ({
        ...record,
        arms: record.arms.flatMap((outcome) =>
          [0, 1].map((repeat) => {
            const gain = outcome.name === 'written' ? gains[item]![repeat]! / 10 : 0;
            const last = outcome.rounds[2]!;
            const scores = { ...last.scores, image_similarity: 0.5 + gain };
            return { ...outcome, repeat, rounds: [...outcome.rounds.slice(0, 2), { ...last, scores }] };
          }),
        ),
      })),
    }),
  );
  const { n, variance, scores } = of('written');
  expect(n).toBe(2);
  expect(scores['image_similarity']!.fixed.gainMean).toBeCloseTo(0.2, 12);
  expect(variance!.item).toBeCloseTo(0.01, 12);
  expect(variance!.seed).toBeCloseTo(0.02, 12);
  expect(of('control').variance).toEqual({ repeats: 2, item: 0, seed: 0 });
});

test('Holm over the learned arms on the primary score, and over nothing where there is one', async () => {
  const critic = (name: string) => ({ ...arm(name, { source: 'opt', model: './m', imageEncoder: './v', memory: false, maxNewTokens: 9 }) });
  const arms = [arm('control', null), critic('first'), critic('second')];
  // Eight gains of one sign: p = 2 / 2^8. Of the second arm one of eight is a loss as large as the gains: 1 or fewer of 8, both ways: 18 / 2^8.
  const items = Array.from({ length: 8 }, (_, i) => ({ control: [0, 0], first: [0, 1], second: [0, i === 0 ? -1 : 1] }) satisfies Record<string, [number, number]>); // prettier-ignore
  const { of } = await results(items, arms);
  const p = (name: string) => of(name).scores['image_similarity']!.fixed.vsControl!;
  expect([p('first').p, p('second').p]).toEqual([2 / 256, 18 / 256]);
  expect([p('first').pAdjusted, p('second').pAdjusted]).toEqual([4 / 256, 18 / 256]);
  const alone = await results(items.map(({ control, first }) => ({ control, first })), arms.slice(0, 2)); // prettier-ignore
  expect(alone.of('first').scores['image_similarity']!.fixed.vsControl!.pAdjusted).toBe(2 / 256);
});

test('strata: the same comparison on the items of each value', async () => {
  const { doc } = await results(
    [{ ...STILL, written: [0, 1] }, { ...STILL, written: [0, 3] }, { ...STILL, written: [0, 5] }],
    ARMS,
    (input) => ({
      ...input,
      manifest: { ...input.manifest, recipe: { ...input.manifest.recipe, dataset: { ...input.manifest.recipe.dataset, strata: ['shape'] } } },
      items: input.items.map((item, i) => ({ ...item, strata: { shape: i === 1 ? 'tall' : 'round' } })),
    }),
  ); // prettier-ignore
  const written = doc.strata.map(({ value, arms }) => ({ value, ...arms.find(({ name }) => name === 'written')! }));
  expect(written.map(({ value, n }) => [value, n])).toEqual([['round', 2], ['tall', 1]]); // prettier-ignore
  expect(written[0]!.vsControl!.mean).toBeCloseTo(0.3, 12);
  expect(written[1]!.vsControl!.mean).toBeCloseTo(0.3, 12);
  expect(written[1]!.ci95).toBeNull();
});

test('an uncurable item is listed with the round of the oracle and the draw of the control that came nearest', async () => {
  const oracle = ARMS.map((a) => (a.name === 'written' ? { ...a, oracle: true } : a));
  const { doc } = await results([{ control: [-3, -2], written: [-1, -4], placebo: [0, 0] }], oracle, (input) => ({
    ...input,
    records: input.records.map((record) => ({
      ...record,
      state: 'uncurable',
      arms: record.arms.map((outcome) => ({ ...outcome, oracle: outcome.name === 'written' })),
    })),
  }));
  const [item] = doc.uncurable;
  expect(item).toMatchObject({
    id: 'item-0',
    oracles: [{ arm: 'written', round: 1, feedback: 'feedback 1 of written' }],
    control: { draw: 2 },
  });
  expect(item!.oracles[0]!.gain).toBeCloseTo(-0.1, 12);
  expect(item!.control!.gain).toBeCloseTo(-0.2, 12);
});
