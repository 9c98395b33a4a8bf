import { jest } from '@jest/globals';
import fc from 'fast-check';
import type { ArmOutcome, ItemRecord } from '../../core/types.js';
import { arm, ARMS, testItem, testRecord, testRun, type ItemScores, type Scores } from '../../test/browser/hand-made-run.js';
import { armScores } from './estimands.js';
import { ESTIMANDS } from './results-document.js';
import { buildResults } from './results.js';

// Thousands of resamples each: more than the default allows on a busy machine.
jest.setTimeout(60_000);

/** Two items by hand; per round [primary, selector]. Round 0 is shared. */
const FIRST: ItemScores = {
  control: [[0.5, 0.2], [0.6, 0.3], [0.4, 0.1]],
  written: [[0.5, 0.2], [0.7, 0.5], [0.8, 0.4]],
  placebo: [[0.5, 0.2], [0.5, 0.1], [0.55, 0.15]],
}; // prettier-ignore
const SECOND: ItemScores = {
  control: [[0.6, 0.3], [0.5, 0.2], [0.9, 0.9]],
  written: [[0.6, 0.3], [0.7, 0.4]],
  placebo: [[0.6, 0.3], [0.65, 0.35], [0.5, 0.2]],
}; // prettier-ignore

const primaryOf = async (scores: ItemScores[], name: string) => {
  const doc = await buildResults(testRun(scores));
  return doc.arms.find((a) => a.name === name)!.scores['image_similarity']!;
};

describe('estimands by hand', () => {
  test('fixed: last round against round 0, and against the mean of as many control draws as the arm made', async () => {
    const { fixed, mean, round0Mean } = await primaryOf([FIRST, SECOND], 'written');
    // first: 0.8 - 0.5, 0.8 - (0.6 + 0.4) / 2. Second made one picture: 0.7 - 0.6, 0.7 - 0.5 (draw 1 alone).
    expect(fixed.gainMean).toBeCloseTo((0.3 + 0.1) / 2, 12);
    expect(fixed.vsControl!.mean).toBeCloseTo((0.3 + 0.2) / 2, 12);
    // Placebo's last rounds: 0.55 and 0.5.
    expect(fixed.vsPlacebo!.mean).toBeCloseTo((0.25 + 0.2) / 2, 12);
    expect(mean).toBeCloseTo(0.75, 12);
    expect(round0Mean).toBeCloseTo(0.55, 12);
    expect(fixed).toMatchObject({ n: 2, wins: 2, ties: 0, losses: 0, winRate: 1, p: 0.5 });
  });

  test('best: the selector’s pick against the control’s of round 0 and as many draws', async () => {
    const { best } = await primaryOf([FIRST, SECOND], 'written');
    // first: round 1 (selector 0.5) 0.7 against draw 1 (0.3) 0.6. Second: 0.7 against round 0 (0.3 > 0.2; draw 2 is out of reach) 0.6.
    expect(best.gainMean).toBeCloseTo((0.2 + 0.1) / 2, 12);
    expect(best.vsControl!.mean).toBeCloseTo((0.1 + 0.1) / 2, 12);
    // Placebo’s picks: round 0 (0.5) and round 1 (0.65).
    expect(best.vsPlacebo!.mean).toBeCloseTo((0.2 + 0.05) / 2, 12);
  });

  test('an arm that chooses among candidates is held against a control that chooses likewise', async () => {
    // Two rounds of two pictures each: the control chooses between draws 1 and 2, then between 3 and 4.
    const scores: ItemScores = {
      control: [[0.5, 0.2], [0.6, 0.3], [0.4, 0.1], [0.7, 0.2], [0.9, 0.6]],
      written: [[0.5, 0.2], [0.7, 0.5], [0.8, 0.4]],
      placebo: [[0.5, 0.2], [0.5, 0.1], [0.55, 0.15]],
    }; // prettier-ignore
    const input = testRun([scores]);
    const choice = (of: ArmOutcome) => of.rounds.map((r) => ({ feedback: { text: 'x' }, image: r.image, score: 0.1 })).slice(1);
    const chooses = (of: ArmOutcome): ArmOutcome => ({
      ...of,
      rounds: of.rounds.map((r, i) => (i === 0 ? r : { ...r, candidates: choice(of) })),
    });
    const records = input.records.map((r) => ({ ...r, arms: r.arms.map((a) => (a.name === 'written' ? chooses(a) : a)) }));
    const doc = await buildResults({ ...input, records });
    const { generatorCalls, unmatched, scores: found } = doc.arms[1]!;
    expect([generatorCalls, unmatched]).toEqual([4, 0]);
    // 0.8 against the mean of draw 1 (liked 0.3) and draw 4 (liked 0.6).
    expect(found['image_similarity']!.fixed.vsControl!.mean).toBeCloseTo(0.8 - (0.6 + 0.9) / 2, 12);
    // Round 1 (0.5) against the one that the selector likes best of round 0 and all four draws.
    expect(found['image_similarity']!.best.vsControl!.mean).toBeCloseTo(0.7 - 0.9, 12);
    // One that makes a picture a round is held against the first two draws, as ever.
    expect(doc.arms[2]!.scores['image_similarity']!.fixed.vsControl!.mean).toBeCloseTo(0.55 - (0.6 + 0.4) / 2, 12);
    expect(doc.items[0]!.arms[1]!.rounds[1]!.candidates).toEqual(choice(records[0]!.arms[1]!).map(({ image, score }) => ({ feedback: 'x', image: image.digest, score }))); // prettier-ignore
  });

  test('stopped: the round that the stop policy returned', async () => {
    const input = testRun([FIRST, SECOND]);
    const records = input.records.map((r) => ({
      ...r,
      arms: r.arms.map((a) => (a.name === 'written' ? { ...a, stopped: { round: 0, reason: 'patience' as const } } : a)),
    }));
    const doc = await buildResults({ ...input, records });
    const { stopped, best } = doc.arms[1]!.scores['image_similarity']!;
    expect(stopped.gainMean).toBe(0);
    expect(stopped).toMatchObject({ ties: 2, winRate: 0 });
    expect(stopped.vsControl!.mean).toBeCloseTo((0.5 - 0.6 + 0) / 2, 12);
    expect(best.gainMean).toBeCloseTo(0.15, 12);
  });

  test('the control stands for the mean of its draws, and is compared with nobody', async () => {
    const { fixed, best, mean } = await primaryOf([FIRST, SECOND], 'control');
    expect(mean).toBeCloseTo((0.5 + 0.7) / 2, 12);
    expect(fixed.gainMean).toBeCloseTo((0 + 0.1) / 2, 12);
    expect(fixed.vsControl).toBeNull();
    expect(fixed.vsPlacebo).toBeUndefined();
    expect(best.gainMean).toBeCloseTo((0.1 + 0.3) / 2, 12);
  });

  test('gain of an item’s arm is its fixed gain by metric', async () => {
    const doc = await buildResults(testRun([FIRST]));
    const gains = Object.fromEntries(doc.items[0]!.arms.map((a) => [a.name, a.gain]));
    expect(gains['written']).toEqual({ image_similarity: expect.closeTo(0.3, 12), clip_text: expect.closeTo(0.2, 12) });
    expect(gains['control']).toEqual({ image_similarity: expect.closeTo(0, 12), clip_text: expect.closeTo(0, 12) });
  });

  test('a gated item counts as no change at no cost; an item without feedback does not count', async () => {
    const input = testRun([FIRST, { ...FIRST, written: [[0.5, 0.2]] }]);
    const withReason = (reason: 'gate' | 'feedback_ended') => ({
      ...input,
      records: input.records.map((r) => ({
        ...r,
        arms: r.arms.map((a) => (a.rounds.length === 1 ? { ...a, stopped: { round: 0, reason } } : a)),
      })),
    });
    const gated = (await buildResults(withReason('gate'))).arms[1]!;
    expect(gated).toMatchObject({ n: 2, generatorCalls: 2 });
    expect(gated.scores['image_similarity']!.fixed.gainMean).toBeCloseTo(0.15, 12);
    expect(gated.scores['image_similarity']!.fixed.vsControl!.mean).toBeCloseTo(0.15, 12);
    expect((await buildResults(withReason('feedback_ended'))).arms[1]!.n).toBe(1);
  });

  test('a control that stopped early is compared with the draws there are, and that is said', async () => {
    const doc = await buildResults(testRun([{ ...FIRST, control: [[0.5, 0.2], [0.6, 0.3]] }])); // prettier-ignore
    expect(doc.arms.map((a) => a.unmatched)).toEqual([0, 1, 1]);
    expect(doc.arms[1]!.scores['image_similarity']!.fixed.vsControl!.mean).toBeCloseTo(0.2, 12);
  });
});

describe('who counts', () => {
  const trained = { ...testItem(1), trainedOn: ['./g'] };

  test('failed, skipped, cancelled, pending and trained-on items stand in no mean and are listed with reasons', async () => {
    const items = [testItem(0), trained, testItem(2), testItem(3), testItem(4)];
    const failure = { type: 'HostCrashed', message: 'gone', step: 'generate' as const, arm: 'written', round: 1, attempt: 3 };
    const records: ItemRecord[] = [
      testRecord(items[0]!, FIRST),
      testRecord(trained, SECOND),
      { ...testRecord(items[2]!, SECOND), state: 'failed', failure },
      { ...testRecord(items[3]!, SECOND), state: 'cancelled' },
    ];
    const { id, key, caption, source } = testItem(5);
    const skipped = [{ position: 5, id, key, caption, reason: 'no caption', source }];
    const doc = await buildResults({ ...testRun([]), items: [...items].reverse(), records: [...records].reverse(), skipped });
    expect(doc.items.map((i) => [i.id, i.state])).toEqual([
      ['item-0', 'unchanged'],
      ['item-1', 'unchanged'],
      ['item-2', 'failed'],
      ['item-3', 'cancelled'],
      ['item-4', 'pending'],
      ['item-5', 'skipped'],
    ]);
    expect(doc.excluded).toEqual([
      { id: 'item-1', reason: 'trained on by ./g' },
      { id: 'item-2', reason: 'failed: HostCrashed in generate of written, round 1 (attempt 3): gone' },
      { id: 'item-3', reason: 'cancelled' },
      { id: 'item-4', reason: 'not finished yet' },
      { id: 'item-5', reason: 'skipped: no caption' },
    ]);
    expect(doc.arms.map((a) => [a.n, a.generatorCalls])).toEqual([[1, 2], [1, 2], [1, 2]]); // prettier-ignore
    expect(doc.arms[1]!.scores['image_similarity']!.fixed.gainMean).toBeCloseTo(0.3, 12);
    expect(doc.arms[1]!.scores['image_similarity']!.fixed.ci95).toBeNull();
    expect(doc.items[4]!.arms).toEqual([]);
  });

  test('a row that was skipped for its double id does not take the good one along', async () => {
    const { id, key, caption, source } = testItem(0);
    const doc = await buildResults({
      ...testRun([FIRST]),
      skipped: [{ position: 1, id, key, caption, reason: 'the id occurs twice', source }],
    });
    expect(doc.items.map((i) => i.state)).toEqual(['unchanged', 'skipped']);
    expect(doc.arms[1]!.n).toBe(1);
  });

  test('without any result the document stands, empty of numbers', async () => {
    const doc = await buildResults(testRun([]));
    expect(doc.arms[1]!.scores['image_similarity']).toMatchObject({
      mean: null,
      fixed: { gainMean: null, ci95: null, winRate: null, p: null },
    });
  });
});

describe('the document', () => {
  test('holds neither times nor places, and is the same whatever order the store lists in', async () => {
    const input = testRun([FIRST, SECOND]);
    const text = JSON.stringify(await buildResults(input));
    expect(text).not.toContain('/on/this/machine');
    expect(text).not.toContain('2026-01-01');
    const turned = { ...input, items: [...input.items].reverse(), records: [...input.records].reverse() };
    expect(JSON.stringify(await buildResults(turned))).toBe(text);
  });

  test('another run over the same data gives the same numbers', async () => {
    const input = testRun([FIRST, SECOND]);
    const other = await buildResults({ ...input, manifest: { ...input.manifest, runId: 'r2' } });
    expect(other.arms).toEqual((await buildResults(input)).arms);
  });

  test('prompts are built by the arm’s refiner from caption and feedback so far; long feedback is read by reference', async () => {
    const arms = [...ARMS.slice(0, 1), { ...arm('written', { source: 'dataset', column: 'f' }), refine: 'prepend' as const }];
    const input = testRun([FIRST], arms);
    const record = input.records[0]!;
    const written = record.arms.find((a) => a.name === 'written')!;
    const ref = written.rounds[0]!.image;
    const rounds = written.rounds.map((r, i) => (i === 2 ? { ...r, feedback: { ref } } : r));
    const doc = await buildResults({ ...input, records: [{ ...record, arms: [record.arms[0]!, { ...written, rounds }] }] });
    const prompts = doc.items[0]!.arms.map((a) => a.rounds.map((r) => r.prompt));
    expect(prompts[0]).toEqual(['caption 0', 'caption 0', 'caption 0']);
    expect(prompts[1]).toEqual(['caption 0', 'feedback 1 of written. caption 0', 'a long text. feedback 1 of written. caption 0']);
    expect(doc.items[0]!.arms[1]!.rounds[2]!.feedback).toBe('a long text');
  });

  test('secondary p values are Holm-corrected over arms, the primary’s are not', async () => {
    const items = Array.from({ length: 6 }, (_, i): ItemScores => ({
      control: [[0.5, 0.2], [0.5, 0.2 + i / 100], [0.5, 0.2]],
      written: [[0.5, 0.2], [0.6, 0.3], [0.7, 0.3 + i / 100]],
      placebo: [[0.5, 0.2], [0.5, 0.2], [0.5, 0.25 + i / 100]],
    })); // prettier-ignore
    const doc = await buildResults(testRun(items));
    const written = doc.arms[1]!.scores;
    expect(written['image_similarity']!.fixed).toMatchObject({ p: 2 / 64, pAdjusted: 2 / 64 });
    // One secondary score in three arms, the control’s own too: the smallest p is tripled.
    expect(written['clip_text']!.fixed.p).toBe(2 / 64);
    expect(written['clip_text']!.fixed.pAdjusted).toBeCloseTo(6 / 64, 12);
  });
});

describe('properties', () => {
  const score = fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true })) as fc.Arbitrary<Scores>;
  const outcomes = fc
    .tuple(score, fc.array(score, { minLength: 3, maxLength: 3 }), fc.array(score, { minLength: 0, maxLength: 3 }))
    .map(([round0, draws, rounds]) => testRecord(testItem(0), { control: [round0, ...draws], written: [round0, ...rounds] }).arms)
    .map(([control, written]) => [control!, { ...written!, stopped: { ...written!.stopped, reason: 'gate' } }] as [ArmOutcome, ArmOutcome]);

  test('the selector’s own best is never below its round 0, and never beaten by any round', () => {
    fc.assert(
      fc.property(outcomes, ([control, written]) => {
        const { score: best, round0 } = armScores(written, control, 'clip_text', 'clip_text', 'best')!;
        expect(best).toBe(Math.max(...written.rounds.map((r) => r.scores['clip_text']!)));
        expect(best).toBeGreaterThanOrEqual(round0);
      }),
    );
  });

  test('an arm that does what the control did gains nothing over it by selection', () => {
    fc.assert(
      fc.property(outcomes, ([control]) => {
        const { score: own, control: matched } = armScores({ ...control, name: 'twin' }, control, 'image_similarity', 'clip_text', 'best')!;
        expect(own).toBe(matched);
      }),
    );
  });

  test('draws that the arm did not match change nothing', () => {
    fc.assert(
      fc.property(outcomes, score, ([control, written], extra) => {
        const more = {
          ...control,
          rounds: [...control.rounds, { ...control.rounds[0]!, scores: { image_similarity: extra[0], clip_text: extra[1] } }],
        };
        for (const estimand of ESTIMANDS) {
          const args = ['image_similarity', 'clip_text', estimand] as const;
          expect(armScores(written, more, ...args)).toEqual(armScores(written, control, ...args));
        }
      }),
    );
  });

  test('an arm without a picture of its own equals the control matched at none', () => {
    fc.assert(
      fc.property(outcomes, ([control, written]) => {
        const none = { ...written, rounds: written.rounds.slice(0, 1), best: { round: 0 }, stopped: { round: 0, reason: 'gate' as const } };
        for (const estimand of ESTIMANDS) {
          const { round0, score: own, control: matched } = armScores(none, control, 'image_similarity', 'clip_text', estimand)!;
          expect([own, matched]).toEqual([round0, round0]);
        }
      }),
    );
  });
});
