import { jest } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import { arm, testRun, type ItemScores, type Scores } from '../../test/browser/hand-made-run.js';
import { feedbackCsv } from './formats/csv.js';
import { resultsMarkdown } from './formats/markdown.js';
import { feedbackVerdicts } from './feedback-facts.js';
import { headline } from './headline.js';
import { reportPages } from './page/page.js';
import { buildResults, type ResultsInput } from './results.js';

// Thousands of resamples each: more than the default allows on a busy machine.
jest.setTimeout(60_000);

const ARMS = [
  arm('control', null),
  arm('opt', { source: 'opt', model: './m', imageEncoder: './v', memory: false, maxNewTokens: 9 }),
  arm('opt-placebo', { source: 'shuffled', from: 'opt' }),
  arm('opt-blind', { source: 'shuffled', from: 'opt', swap: 'picture' }),
];
const MEASURED = { trainLoss: 0.4, validationLoss: 1.2, validationLossWithAnotherItemsPicture: 1.203, validationLossWithoutPicture: 1.9 };

/** Ten items; each arm's last round lies so far above round 0, give or take a little. */
function input(lifts: Record<string, number>, change: Partial<ResultsInput> = {}): ResultsInput {
  const items = Array.from({ length: 10 }, (_, i): ItemScores => {
    const rounds = (lift: number): Scores[] => [[0.5, 0.2], [0.5 + lift, 0.3], [0.5 + lift + ((i % 3) - 1) / 100, 0.3]]; // prettier-ignore
    return Object.fromEntries(ARMS.map(({ name }) => [name, rounds(lifts[name] ?? 0)]));
  });
  const run = testRun(items, ARMS);
  const entry = { path: '/on/this/machine/m', digest: 'sha256:m' as const, trainedOn: ['sha256:a' as const, 'sha256:b' as const] };
  return { ...run, manifest: { ...run.manifest, models: { './m': { ...entry, measured: MEASURED } } }, ...change };
}

test('what a model was taught with is held against all that it writes, its placebo and its arm with swapped pictures too', async () => {
  const taught = { './m': ['Feedback 1 of opt!', 'no other words'] };
  const doc = await buildResults(input({}, { taughtWith: taught }));
  const of = (name: string) => doc.arms.find((one) => one.name === name)!;
  // The hand-made texts are "feedback 1 of opt" and "feedback 2 of opt", ten times each.
  expect(of('opt')).toMatchObject({
    feedback: { texts: 20, distinct: 2, distinct1: 5 / 80, distinct2: 5 / 60 },
    copied: { n: 4, share: 0.5, verbatim: 10, texts: 20 },
    training: { items: 2, ...MEASURED },
  });
  expect(of('opt').copied!.ngrams.map(({ share }) => share)).toEqual([7 / 8, 4 / 6, 2 / 4, 1 / 2]);
  expect(of('control')).toMatchObject({ feedback: null, copied: null, training: null });
  expect(of('opt-blind')).toMatchObject({ training: null, copied: { texts: 20 } });
  // A set that is named stands in its place.
  const given = await buildResults(input({}, { taughtWith: taught, trainingFeedback: ['nothing alike'] }));
  expect(given.arms.find(({ name }) => name === 'opt')!.copied).toMatchObject({ share: 0, verbatim: 0 });
  const unknown = await buildResults(input({}));
  expect(unknown.arms.find(({ name }) => name === 'opt')!.copied).toBeNull();
});

test('an arm is compared with itself on other items’ pictures, and that arm is no rival and no placebo of it', async () => {
  const doc = await buildResults(input({ opt: 0.1, 'opt-blind': 0.02, 'opt-placebo': 0.01 }));
  const [, opt, placebo, blind] = doc.arms;
  expect(opt).toMatchObject({ placebo: 'opt-placebo', otherPicture: 'opt-blind', swap: null, feedbackCalls: 20 });
  expect(placebo).toMatchObject({ placeboOf: 'opt', swap: 'feedback', learned: false, feedbackCalls: 0 });
  expect(blind).toMatchObject({ placeboOf: 'opt', swap: 'picture', learned: false, feedbackCalls: 20 });
  const { vsOtherPicture, vsPlacebo } = opt!.scores['image_similarity']!.fixed;
  expect(vsOtherPicture!.mean).toBeCloseTo(0.08, 12);
  expect(vsPlacebo!.mean).toBeCloseTo(0.09, 12);
  expect(headline(doc)).toMatchObject({
    claims: { opt: 'pays' },
    // That it pays is not read without whether it looks.
    notes: expect.arrayContaining([expect.stringMatching(/^opt looks: /), expect.stringMatching(/^opt did not learn to look/)]),
  });
});

test.each([
  [{ opt: 0.1, 'opt-blind': 0.02 }, /^opt looks: .*\+0\.080 \[/],
  [{ opt: 0.1, 'opt-blind': 0.1 }, /^opt was not seen to look: .*0\.000/],
])('whether a critic looks: %j', async (lifts, verdict) => {
  const verdicts = feedbackVerdicts(await buildResults(input(lifts)));
  // What its training measured is told beside it.
  expect(verdicts).toEqual([
    expect.stringMatching(verdict),
    expect.stringMatching(/^opt did not learn to look: .*\(1\.200 and 1\.203\)\.$/),
  ]);
});

test('every face of the report has it', async () => {
  const doc = await buildResults(input({ opt: 0.1 }, { taughtWith: { './m': ['feedback 1 of opt'] } }));
  const markdown = resultsMarkdown(doc);
  expect(markdown).toContain('## The feedback');
  expect(markdown).toContain('| opt | 20 / 2 | 0.063 / 0.083 | 88% / 67% / 50% / 50% | 10 | 2 | 0.400 / 1.200 | 1.203 / 1.900 |');
  expect(markdown).toContain('| opt-placebo | 20 / 2 | 0.060 / 0.075 | 70% / 50% / 33% / 25% | 0 | – | – | – |');
  expect(markdown).toContain('opt-blind (opt given another item’s picture)');
  const rows = parse<Record<string, string>>(feedbackCsv(doc), { columns: true });
  expect(rows.map(({ arm: name }) => name)).toEqual(['opt', 'opt-placebo', 'opt-blind']);
  expect(rows[0]).toMatchObject({ texts: '20', copied_4: '0.5', copied_texts: '10', train_loss: '0.4', validation_loss_no_picture: '1.9' });
  expect(Number(rows[0]!['over_other_picture'])).toBeCloseTo(0.1, 12);
  const page = reportPages(doc, new Map(), null)[0]!.content;
  expect(page).toContain('id="feedback"');
  expect(page).toMatch(/opt given another<br \/>item’s picture/);
  expect(page).toContain('opt did not learn to look');
});

test('a run in which nothing was written says nothing of it', async () => {
  const doc = await buildResults(testRun([{ control: [[0.5, 0.2], [0.6, 0.2]] }], ARMS.slice(0, 1))); // prettier-ignore
  expect(resultsMarkdown(doc)).not.toContain('The feedback');
  expect(reportPages(doc, new Map(), null)[0]!.content).not.toContain('id="feedback"');
});
