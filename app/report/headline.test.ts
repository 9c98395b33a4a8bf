import { jest } from '@jest/globals';
import type { OutputFault } from '../../core/errors.js';
import type { ArmRecipe } from '../../core/recipe.js';
import { arm, ARMS, testRecord, testRun, type ItemScores, type Scores } from '../../test/browser/hand-made-run.js';
import { headline } from './headline.js';
import { buildResults } from './results.js';

// Thousands of resamples each: more than the default allows on a busy machine.
jest.setTimeout(60_000);

/** Twelve items; every arm's two rounds lie `lift` above round 0, give or take a little by item. */
function run(lifts: Record<string, number>, arms: ArmRecipe[] = ARMS, n = 12) {
  const items = Array.from({ length: n }, (_, i): ItemScores => {
    const start: Scores = [0.5 + i / 100, 0.2];
    const rounds = (lift: number): Scores[] => [
      start,
      [start[0] + lift + ((i % 3) - 1) / 100, 0.3],
      [start[0] + lift + ((i % 4) - 1.5) / 100, 0.25],
    ];
    return Object.fromEntries(arms.map((a) => [a.name, rounds(lifts[a.name] ?? 0)]));
  });
  return buildResults(testRun(items, arms));
}
const withOracle = ARMS.map((a) => (a.name === 'written' ? { ...a, oracle: true } : a));

describe('feedback pays', () => {
  test('where it beats the control and its placebo', async () => {
    const { sentence, claims } = headline(await run({ written: 0.1, placebo: 0.01 }));
    expect(claims).toEqual({ written: 'pays' });
    expect(sentence).toMatch(
      /^Feedback from written pays: image_similarity \+0\.\d{3} \[.*\] over the control and \+0\.090 \[.*\] over its placebo \(95% intervals, n\s=\s12\)\.$/,
    );
  });

  test('not where its placebo does as well', async () => {
    const { sentence, claims } = headline(await run({ written: 0.1, placebo: 0.1 }));
    expect(claims).toEqual({ written: 'beats control only' });
    expect(sentence).toMatch(/^No feedback pays here: written beats the control by .* but not its placebo \(0\.000/);
  });

  test('not where more draws do as well, and a loss is told as one', async () => {
    expect(headline(await run({ written: 0.1, control: 0.1 })).claims).toEqual({ written: 'does not pay' });
    expect(headline(await run({ written: -0.1 })).sentence).toMatch(/^No feedback pays here: written against the control −0\.\d{3} \[−/);
  });

  test('not without a placebo, nor without a control', async () => {
    const noPlacebo = headline(await run({ written: 0.1 }, ARMS.slice(0, 2)));
    expect(noPlacebo.claims).toEqual({ written: 'beats control only' });
    expect(noPlacebo.sentence).toContain('but no placebo was run');
    expect(headline(await run({ written: 0.1 }, ARMS.slice(1))).claims).toEqual({ written: 'no control or placebo' });
  });

  test('never from one item, and few items are said to be few', async () => {
    const one = headline(await run({ written: 0.1 }, ARMS, 1));
    expect(one.claims).toEqual({ written: 'too few items' });
    expect(headline(await run({ written: 0.1 }, ARMS, 5)).notes.join()).toContain('Only 5 items');
    expect(headline(await run({}, ARMS, 0)).sentence).toBe('No item has a result yet, so nothing can be said.');
  });
});

describe('an oracle', () => {
  test('that pays is marked, and no rival’s win', async () => {
    const { sentence } = headline(await run({ written: 0.1 }, withOracle));
    expect(sentence).toContain('written (oracle: saw the true picture, an upper reference) pays');
    expect(sentence).toContain('No arm that had to do without the true picture was run.');
  });

  test('comes after a rival that does not pay', async () => {
    const arms = [...withOracle, arm('opt', { source: 'dataset', column: 'opt' }), arm('opt-placebo', { source: 'shuffled', from: 'opt' })];
    const { sentence } = headline(await run({ written: 0.1 }, arms));
    expect(sentence).toMatch(
      /^No feedback written without the true picture pays: opt against the control .*\. Feedback from written \(oracle/,
    );
    expect(headline(await run({ written: 0.2, opt: 0.1 }, arms)).sentence).toMatch(/^Feedback from opt pays/);
  });

  test('that does not pay either is said so', async () => {
    expect(headline(await run({}, withOracle)).sentence).toMatch(/^No feedback pays here, not even an oracle’s/);
  });
});

test('an oracle alone without a placebo: nobody can say', async () => {
  const { sentence } = headline(await run({ written: 0.1 }, withOracle.slice(0, 2)));
  expect(sentence).toMatch(/^Without a placebo nobody can say whether feedback pays: written \(oracle\) beats the control by \+/);
});

test('of several models only one whose p survives Holm’s correction pays', async () => {
  const critic = (name: string) => [
    arm(name, { source: 'opt', model: './m', imageEncoder: './v', memory: false, maxNewTokens: 9 }),
    arm(`${name}-placebo`, { source: 'shuffled', from: name }),
  ];
  // Five items: all of one sign is p = 2 / 2^5 = 0.0625, whatever the interval says.
  const [one, two] = [
    [ARMS[0]!, ...critic('one')],
    [ARMS[0]!, ...critic('one'), ...critic('two')],
  ];
  expect(headline(await run({ one: 0.1 }, one, 5)).sentence).toMatch(/and its placebo, but it may be chance: p is 0\.063/);
  expect(headline(await run({ one: 0.1 }, one, 6)).claims).toEqual({ one: 'pays' });
  const several = headline(await run({ one: 0.1, two: 0.1 }, two, 5));
  expect(several.claims).toEqual({ one: 'may be chance', two: 'may be chance' });
  expect(several.sentence).toMatch(/p is 0\.125 after Holm’s correction for several models/);
  expect(headline(await run({ one: 0.1, two: 0.1 }, two)).claims).toEqual({ one: 'pays', two: 'pays' });
});

test('what items failed of is counted', async () => {
  const input = testRun([{}, {}, {}]);
  const failed = (item: number, type: string, reason?: OutputFault) => ({
    ...testRecord(input.items[item]!, {}),
    state: 'failed' as const,
    failure: { type, ...(reason ? { reason } : {}), message: 'gone', step: 'generate' as const, arm: null, round: 0, attempt: 1 },
  });
  const records = [failed(0, 'HostCrashed'), failed(1, 'ModelOutputInvalid', 'blocked'), failed(2, 'ModelOutputInvalid', 'blocked')];
  const doc = await buildResults({ ...input, records });
  expect(headline(doc).notes).toContain('3 items failed: 2 ModelOutputInvalid (blocked), 1 HostCrashed.');
  expect(doc.excluded[1]!.reason).toBe('failed: ModelOutputInvalid (blocked) in generate of round 0 (attempt 1): gone');
});

test('a negative prompt that was cut is told once', async () => {
  const input = testRun([{ control: [[0.5, 0.5]] }, { control: [[0.5, 0.5]] }]);
  const notes = async () => headline(await buildResults(input)).notes.filter((note) => note.includes('negative'));
  expect(await notes()).toEqual([]);
  for (const { arms } of input.records) arms[0]!.rounds[0]!.tokens = { used: 5, cut: 0, negativeCut: 8 };
  expect(await notes()).toEqual(['The negative prompt is too long: up to 8 of its tokens were cut off and had no effect.']);
});

test('a run that goes on is preliminary', async () => {
  const input = testRun([]);
  const items = testRun([{}, {}]).items;
  expect(headline(await buildResults({ ...input, items })).notes[0]).toBe('Preliminary: 2 of 2 items are not finished.');
});
