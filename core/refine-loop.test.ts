import fc from 'fast-check';
import { worstCaseImages, type ArmPlan, type ItemPlan } from './item-plan.js';
import { refineLoop, sampleDrawOf, StepFailed, textDrawOf, type Critique, type ItemInput, type Steps } from './refine-loop.js';
import type { ArtifactRef, StepAt } from './types.js';

const ref = (name: string): ArtifactRef => ({ digest: `sha256:${name}`, mediaType: 'x', bytes: 1, derivedFrom: [] });
const REST = { encodes: false, memory: false, refine: 'append' as const, feedbackWeight: 0.5 };
const CONTROL: ArmPlan = { name: 'control', oracle: false, source: null, ...REST, seeds: 'keep' };
const WRITTEN: ArmPlan = { name: 'written', oracle: true, source: 'dataset', ...REST, seeds: 'keep' };
const PLACEBO: ArmPlan = { name: 'placebo', oracle: false, source: 'shuffled', ...REST, seeds: 'new' };
const PLAN: ItemPlan = {
  rounds: 2,
  arms: [CONTROL, WRITTEN, PLACEBO],
  select: 'clip_text',
  primary: 'image_similarity',
  imageEncoders: ['image_similarity', 'clip_text'],
  textEncoders: ['clip_text'],
  scoreQueue: 'orchestrator',
  stop: { target: null, patience: null, minGain: 0 },
  gate: null,
  repeats: 1,
};
const ITEM: ItemInput = { caption: { text: 'a cat' }, trueImage: ref('true'), feedbackRounds: { written: 2, placebo: 2 }, partner: null };

type Calls = Array<{ step: string; at: StepAt; prompt?: string; of?: string; start?: string }>;

/** Steps that write down what was asked of them; scores by arm and round. */
function steps(
  calls: Calls,
  scoreOf: (at: StepAt) => number = () => 0.5,
  fail?: (step: string, at: StepAt, of?: string) => Error | undefined,
  of?: string,
): Steps {
  const meta = { key: 'k', cached: false, attempts: 1, seconds: 1 };
  const call = (step: string, at: StepAt, prompt?: string) => {
    calls.push({ step, at, ...(prompt === undefined ? {} : { prompt }), ...(of === undefined ? {} : { of }) });
    const error = fail?.(step, at, of);
    if (error) throw error;
  };
  return {
    partner: () => steps(calls, scoreOf, fail, 'partner'),
    async generate(at, { parts }, start) {
      call('generate', at, parts.map((p) => p.text).join('|'));
      if (start) calls.at(-1)!.start = `${start.image.digest} ${start.strength}`;
      return { ...meta, image: ref(`${at.arm}-${at.round}-${at.draw}`), seed: at.draw, tokens: { used: 3, cut: 0 } };
    },
    async embed(at, wanted) {
      return wanted.map(({ subject, encoders }) => {
        call(`embed:${subject.role}`, at);
        return { embeddings: Object.fromEntries(encoders.map((e) => [e, ref(e)])), meta: encoders.map(() => meta) };
      });
    },
    async feedback(at, arm) {
      call('feedback', at);
      return { ...meta, usd: 0, feedback: { text: `${of ?? ''}${arm}${at.round}`, ref: ref('f') } };
    },
    async score(at) {
      call('score', at);
      return { ...meta, scores: { clip_text: scoreOf(at), image_similarity: scoreOf(at) } };
    },
  };
}

test('round 0 is made once and every arm goes on from it', async () => {
  const calls: Calls = [];
  const outcome = await refineLoop(PLAN, ITEM, steps(calls));
  const generated = calls.filter((c) => c.step === 'generate');
  expect(generated).toHaveLength(1 + 3 * 2);
  expect(generated.filter((c) => c.at.arm === null)).toEqual([{ step: 'generate', at: { arm: null, round: 0, draw: 0 }, prompt: 'a cat' }]);
  expect(new Set(outcome.arms.map((arm) => arm.rounds[0]!.image.digest)).size).toBe(1);
  expect(outcome.spent).toEqual({ images: 7, seconds: expect.any(Number), usd: 0 });
});

test('an arm with a strength edits its last picture, and what is made for its placebo does, too', async () => {
  const calls: Calls = [];
  const model: ArmPlan = { name: 'opt', oracle: false, source: 'opt', ...REST, seeds: 'keep', strength: 0.6 };
  const arms = [CONTROL, model, { ...PLACEBO, strength: 0.4, mirrors: model }];
  await refineLoop({ ...PLAN, arms }, { ...ITEM, partner: { caption: { text: 'a dog' } } }, steps(calls));
  const starts = (of: string | undefined, arm: string | null) =>
    calls.filter((c) => c.step === 'generate' && c.of === of && c.at.arm === arm).map((c) => c.start);
  expect(starts(undefined, null)).toEqual([undefined]);
  expect(starts(undefined, 'control')).toEqual([undefined, undefined]);
  expect(starts(undefined, 'opt')).toEqual(['sha256:null-0-0 0.6', 'sha256:opt-1-0 0.6']);
  expect(starts(undefined, 'placebo')).toEqual(['sha256:null-0-0 0.4', 'sha256:placebo-1-1 0.4']);
  expect(starts('partner', null)).toEqual([undefined]);
  expect(starts('partner', 'opt')).toEqual(['sha256:null-0-0 0.6']);
});

test('control draws fresh seeds on the caption; feedback arms keep the seed unless told otherwise', async () => {
  const calls: Calls = [];
  await refineLoop(PLAN, ITEM, steps(calls));
  const of = (arm: string) => calls.filter((c) => c.step === 'generate' && c.at.arm === arm).map((c) => [c.at.draw, c.prompt]);
  expect(of('control')).toEqual([
    [1, 'a cat'],
    [2, 'a cat'],
  ]);
  expect(of('written')).toEqual([
    [0, 'a cat|written1'],
    [0, 'a cat|written1|written2'],
  ]);
  expect(of('placebo').map(([draw]) => draw)).toEqual([1, 2]);
  expect(calls.filter((c) => c.step === 'feedback' && c.at.arm === 'control')).toEqual([]);
});

test('an arm ends where its feedback does', async () => {
  const outcome = await refineLoop(PLAN, { ...ITEM, feedbackRounds: { written: 1, placebo: 0 } }, steps([]));
  const stopped = Object.fromEntries(outcome.arms.map((arm) => [arm.name, [arm.rounds.length - 1, arm.stopped.reason]]));
  expect(stopped).toEqual({ control: [2, 'rounds'], written: [1, 'feedback_ended'], placebo: [0, 'feedback_ended'] });
});

test('a good item gets no critic, but its control', async () => {
  const outcome = await refineLoop({ ...PLAN, gate: 0.4 }, ITEM, steps([]));
  expect(outcome.arms.map((arm) => [arm.name, arm.stopped.reason, arm.rounds.length])).toEqual([
    ['control', 'rounds', 3],
    ['written', 'gate', 1],
    ['placebo', 'gate', 1],
  ]);
});

test('an arm stops early by the policy; the control makes all its draws all the same', async () => {
  const stop = { target: 0.4, patience: null, minGain: 0 };
  const outcome = await refineLoop(
    { ...PLAN, stop },
    ITEM,
    steps([], (at) => (at.round === 0 ? 0.1 : 0.5)),
  );
  expect(outcome.arms.map((arm) => [arm.name, arm.stopped.reason, arm.rounds.length])).toEqual([
    ['control', 'rounds', 3],
    ['written', 'target', 2],
    ['placebo', 'target', 2],
  ]);
});

test.each([
  ['only an oracle improves', { written: 0.9 }, 'unchanged'],
  ['neither oracle nor any draw improves', {}, 'uncurable'],
  ['a draw of the control improves', { control: 0.9 }, 'unchanged'],
  ['the placebo improves', { placebo: 0.9 }, 'uncurable'],
])('state of an item where %s', async (_, scores: Record<string, number>, state) => {
  const outcome = await refineLoop(
    PLAN,
    ITEM,
    steps([], (at) => scores[at.arm ?? ''] ?? 0.5),
  );
  expect(outcome.state).toBe(state);
});

test('an item on which no oracle wrote is not uncurable', async () => {
  const outcome = await refineLoop(PLAN, { ...ITEM, feedbackRounds: { written: 0, placebo: 2 } }, steps([]));
  expect(outcome.state).toBe('unchanged');
});

test('an item improves by an arm that did not see the true image', async () => {
  const arms = [CONTROL, { ...WRITTEN, oracle: false }];
  const outcome = await refineLoop(
    { ...PLAN, arms },
    ITEM,
    steps([], (at) => (at.arm === 'written' ? 0.9 : 0.5)),
  );
  expect(outcome.state).toBe('improved');
});

test('an arm that fails leaves the others their results and fails the item', async () => {
  const failure = { type: 'HostCrashed', message: 'gone', step: 'generate' as const, arm: 'written', round: 2, attempt: 3 };
  const fail = (step: string, at: StepAt) =>
    step === 'generate' && at.arm === 'written' && at.round === 2 ? new StepFailed(failure) : undefined;
  const outcome = await refineLoop(PLAN, ITEM, steps([], undefined, fail));
  expect(outcome).toMatchObject({ state: 'failed', failure });
  expect(outcome.arms.map((arm) => [arm.name, arm.rounds.length, arm.failure])).toEqual([
    ['control', 3, undefined],
    ['written', 2, failure],
    ['placebo', 3, undefined],
  ]);
  expect(outcome.spent.images).toBe(6 + 3);
});

test('an unusable picture is drawn anew, twice at most', async () => {
  const calls: Calls = [];
  const failure = { type: 'ModelOutputInvalid', message: 'NaN', step: 'generate' as const, arm: null, round: 0, attempt: 1 };
  const once = (step: string, at: StepAt) =>
    step === 'generate' && at.draw < 1000 && at.arm === null ? new StepFailed(failure, true) : undefined;
  expect((await refineLoop(PLAN, ITEM, steps(calls, undefined, once))).state).not.toBe('failed');
  const always = (step: string) => (step === 'generate' ? new StepFailed(failure, true) : undefined);
  calls.length = 0;
  expect(await refineLoop(PLAN, ITEM, steps(calls, undefined, always))).toMatchObject({ state: 'failed', arms: [], spent: { images: 3 } });
  expect(calls.filter((c) => c.step === 'generate').map((c) => c.at.draw)).toEqual([0, 1000, 2000]);
});

test('an error that is no failed step goes through: cancellation must not become a record of failure', async () => {
  const fail = (step: string) => (step === 'score' ? new Error('cancelled') : undefined);
  await expect(refineLoop(PLAN, ITEM, steps([], undefined, fail))).rejects.toThrow('cancelled');
});

test('whatever the scores, the best round is the selector’s best and every generator call is counted', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 7, maxLength: 7 }), async (values) => {
      let i = 0;
      const calls: Calls = [];
      const outcome = await refineLoop(
        PLAN,
        ITEM,
        steps(calls, () => values[i++ % values.length]!),
      );
      for (const arm of outcome.arms) {
        const scores = arm.rounds.map((r) => r.scores['clip_text']!);
        expect(scores[arm.best.round]).toBe(Math.max(...scores));
      }
      expect(outcome.spent.images).toBe(calls.filter((c) => c.step === 'generate').length);
    }),
  );
});

const OPT: ArmPlan = { name: 'opt', oracle: false, source: 'opt', ...REST, encodes: true, seeds: 'keep' };
const OPT_PLACEBO: ArmPlan = { name: 'opt-placebo', oracle: false, source: 'shuffled', ...REST, seeds: 'keep', mirrors: OPT };
const MODEL_PLAN: ItemPlan = { ...PLAN, arms: [OPT, OPT_PLACEBO] };
const MODEL_ITEM: ItemInput = { ...ITEM, feedbackRounds: {}, partner: { caption: { text: 'a dog' } } };

test('a critic is shown the picture by its own encoder, and the steps that led to it', async () => {
  const seen: Critique[] = [];
  const calls: Calls = [];
  const plain = steps(calls);
  const watching: Steps = { ...plain, feedback: (at, arm, critique) => (seen.push(critique), plain.feedback(at, arm, critique)) };
  await refineLoop({ ...MODEL_PLAN, arms: [{ ...OPT, memory: true }] }, MODEL_ITEM, watching);
  expect(calls.filter((c) => c.step === 'embed:critic').map((c) => c.at.round)).toEqual([1, 2]);
  expect(seen.map((c) => c.picture.digest)).toEqual(['sha256:null-0-0', 'sha256:opt-1-0']);
  expect(seen.map((c) => c.features?.digest)).toEqual(['sha256:arm:opt', 'sha256:arm:opt']);
  expect(seen.map((c) => c.earlier.map((e) => e.text))).toEqual([[], ['opt1']]);
  // Round 1: generate, features. Round 2: those, the feedback, the next picture, its features.
  expect(seen.map((c) => c.trail.length)).toEqual([2, 5]);
});

test("the placebo of a model's arm shows what the model writes on another item's pictures", async () => {
  const calls: Calls = [];
  const { arms } = await refineLoop(MODEL_PLAN, MODEL_ITEM, steps(calls));
  expect(arms.map((arm) => arm.rounds.map((r) => r.feedback?.text ?? null))).toEqual([
    [null, 'opt1', 'opt2'],
    [null, 'partneropt1', 'partneropt2'],
  ]);
  const borrowed = calls.filter((c) => c.of === 'partner');
  expect(borrowed.filter((c) => c.step === 'generate').map((c) => [c.at.arm, c.at.round, c.prompt])).toEqual([
    [null, 0, 'a dog'],
    ['opt', 1, 'a dog|partneropt1'],
  ]);
  expect(borrowed.filter((c) => c.step === 'feedback').map((c) => c.at)).toEqual([1, 2].map((round) => ({ arm: 'opt', round, draw: 0 })));
});

test("what the other item's model cannot write ends the placebo and fails nothing; what a device cannot do does", async () => {
  const failing = (type: string) => (step: string, at: StepAt, of?: string) =>
    step === 'feedback' && of
      ? new StepFailed({ type, message: 'no', step: 'feedback', arm: 'opt', round: at.round, attempt: 1 })
      : undefined;
  const ended = await refineLoop(MODEL_PLAN, MODEL_ITEM, steps([], undefined, failing('ModelOutputInvalid')));
  expect(ended.state).not.toBe('failed');
  expect(ended.arms[1]).toMatchObject({ stopped: { round: 0, reason: 'feedback_ended' } });
  const lost = await refineLoop(MODEL_PLAN, MODEL_ITEM, steps([], undefined, failing('DeviceLost')));
  expect(lost.state).toBe('failed');
});

test('repeats run the item again with seeds of their own, from the same references', async () => {
  const calls: Calls = [];
  const { arms } = await refineLoop({ ...PLAN, repeats: 2 }, ITEM, steps(calls));
  expect(arms.map((arm) => `${arm.name} ${arm.repeat}`)).toEqual([
    'control 0',
    'written 0',
    'placebo 0',
    'control 1',
    'written 1',
    'placebo 1',
  ]);
  const draws = calls.filter((c) => c.step === 'generate').map((c) => c.at.draw);
  expect(new Set(draws)).toEqual(new Set([0, 1, 2, 10_000, 10_001, 10_002]));
  expect(calls.filter((c) => c.step === 'embed:true')).toHaveLength(1);
});

/** As `steps`, with a text of its own for every draw, as an artifact of its own; `same` is written whatever the draw. */
function writing(calls: Calls, scoreOf: (at: StepAt) => number, same?: string, of?: string): Steps {
  const plain = steps(calls, scoreOf, undefined, of);
  return {
    ...plain,
    partner: () => writing(calls, scoreOf, same, 'partner'),
    async generate(at, prompt, start) {
      const made = await plain.generate(at, prompt, start);
      return {
        ...made,
        key: `${of ?? ''}${made.image.digest}c${at.candidate ?? 0}`,
        image: ref(`${of ?? ''}${at.arm}-${at.round}c${at.candidate ?? 0}`),
      };
    },
    async feedback(at, arm, critique) {
      calls.push({ step: 'shown', at, prompt: critique.picture.digest, ...(of === undefined ? {} : { of }) });
      const made = await plain.feedback(at, arm, critique);
      const text = same ?? `${of ?? ''}${arm}${at.round}c${at.candidate ?? 0}`;
      return { ...made, key: text, feedback: { text, ref: ref(text) } };
    },
  };
}

const BEST: ArmPlan = { ...OPT, candidates: 3 };
const BEST_PLAN: ItemPlan = { ...PLAN, arms: [{ ...CONTROL, draws: 6 }, BEST, { ...OPT_PLACEBO, candidates: 3, mirrors: BEST }] };
/** The selector likes the second candidate best in round 1, the third in round 2. */
const liked = (at: StepAt) => ((at.candidate ?? 0) === at.round ? 0.9 : 0.1);

test('of a round’s candidates the selector keeps one, and the next round goes on from it', async () => {
  const calls: Calls = [];
  const { arms, spent } = await refineLoop(BEST_PLAN, MODEL_ITEM, writing(calls, liked));
  const best = arms[1]!.rounds;
  expect(best.map((round) => round.feedback?.text ?? null)).toEqual([null, 'opt1c1', 'opt2c2']);
  expect(best[2]!.prompt.parts.map(({ text }) => text)).toEqual(['a cat', 'opt1c1', 'opt2c2']);
  expect(best[1]!.candidates).toEqual([0, 1, 2].map((c) => ({ feedback: expect.objectContaining({ text: `opt1c${c}` }), image: ref(`opt-1c${c}`), score: c === 1 ? 0.9 : 0.1 }))); // prettier-ignore
  const own = calls.filter((c) => c.of === undefined && c.at.arm === 'opt');
  // They differ by their words alone: the seed is round 0's. The critic's encoder sees each picture once.
  expect(own.filter((c) => c.step === 'generate').map((c) => [c.at.round, c.at.draw, c.at.candidate])).toEqual(
    [1, 2].flatMap((round) => [undefined, 1, 2].map((candidate) => [round, 0, candidate])),
  );
  expect(own.filter((c) => c.step === 'embed:critic').map((c) => c.at.round)).toEqual([1, 2]);
  expect(own.filter((c) => c.step === 'shown').map((c) => c.prompt)).toEqual([...Array(3).fill('sha256:null-0c0'), ...Array(3).fill('sha256:opt-1c1')]); // prettier-ignore
  // As many draws as the others have calls.
  expect(arms[0]!.rounds).toHaveLength(1 + 6);
  expect(spent.images).toBe(calls.filter((c) => c.step === 'generate').length);
  expect(spent.images).toBe(worstCaseImages(BEST_PLAN));
});

test('the placebo of such an arm is lent all its texts, on the picture that the selector kept there, and chooses for itself', async () => {
  const calls: Calls = [];
  const { arms } = await refineLoop(BEST_PLAN, MODEL_ITEM, writing(calls, liked));
  expect(arms[2]!.rounds.map((round) => round.feedback?.text ?? null)).toEqual([null, 'partneropt1c1', 'partneropt2c2']);
  expect(arms[2]!.rounds[2]!.candidates!.map(({ feedback }) => feedback.text)).toEqual([0, 1, 2].map((c) => `partneropt2c${c}`));
  const lent = calls.filter((c) => c.of === 'partner');
  expect(lent.filter((c) => c.step === 'shown').map((c) => c.prompt)).toEqual([...Array(3).fill('sha256:partnernull-0c0'), ...Array(3).fill('sha256:partneropt-1c1')]); // prettier-ignore
  // What was lent was scored to choose by, and never against the other item's true image.
  expect(lent.filter((c) => c.step === 'embed:true')).toEqual([]);
});

test('texts that are the same make one picture, and no choice', async () => {
  const calls: Calls = [];
  const { arms } = await refineLoop({ ...BEST_PLAN, arms: [BEST] }, MODEL_ITEM, writing(calls, liked, 'always this'));
  expect(calls.filter((c) => c.step === 'generate')).toHaveLength(1 + 2);
  expect(calls.filter((c) => c.step === 'feedback')).toHaveLength(2 * 3);
  expect(arms[0]!.rounds.map(({ candidates }) => candidates)).toEqual([undefined, undefined, undefined]);
});

test('a candidate that fails for good fails its arm when the others are through', async () => {
  const calls: Calls = [];
  const failure = { type: 'HostCrashed', message: 'gone', step: 'generate' as const, arm: 'opt', round: 1, attempt: 3 };
  const plain = writing(calls, liked);
  const failing: Steps = {
    ...plain,
    async generate(at, prompt, start) {
      if (at.candidate === 1) throw new StepFailed(failure);
      if (at.round === 1) await new Promise((resolve) => setTimeout(resolve, 1)); // The others are still drawn when it fails.
      return plain.generate(at, prompt, start);
    },
  };
  const { arms } = await refineLoop({ ...BEST_PLAN, arms: [BEST] }, MODEL_ITEM, failing);
  expect(arms[0]).toMatchObject({ state: 'failed', failure, rounds: [{ round: 0 }] });
  expect(calls.filter((c) => c.step === 'score' && c.at.round === 1).map((c) => c.at.candidate)).toEqual([undefined, 2]);
});

test('each candidate is another draw of the text, and each redraw of one, too', () => {
  const places = [0, 1, 2].flatMap((candidate) => [0, 1000, 2000, 10_000].map((draw) => ({ arm: 'opt', round: 1, draw, candidate })));
  expect(new Set(places.map(sampleDrawOf)).size).toBe(places.length);
  expect(new Set(places.filter(({ draw }) => draw < 10_000).map(textDrawOf)).size).toBe(9);
  expect(textDrawOf({ arm: 'opt', round: 1, draw: 2 })).toBe(0);
});

test('a model that is shown another item’s picture writes on it for the own caption', async () => {
  const calls: Calls = [];
  const seen: Critique[] = [];
  const plain = writing(calls, () => 0.5);
  const watching: Steps = { ...plain, feedback: (at, arm, critique) => (seen.push(critique), plain.feedback(at, arm, critique)) };
  const swapped: ArmPlan = { ...OPT_PLACEBO, name: 'opt-blind', mirrors: { ...OPT, memory: true }, swap: 'picture' };
  const { arms } = await refineLoop({ ...MODEL_PLAN, arms: [swapped] }, MODEL_ITEM, watching);
  expect(arms[0]!.rounds.map((round) => round.feedback?.text ?? null)).toEqual([null, 'opt1c0', 'opt2c0']);
  // The other item's pictures of the same rounds, made with what the model says of them.
  expect(seen.map(({ picture }) => picture.digest)).toEqual(['sha256:partnernull-0c0', 'sha256:partneropt-1c0']);
  expect(seen[1]!.earlier.map(({ text }) => text)).toEqual(['opt1c0']);
  expect(seen[1]!.trail).toEqual(expect.arrayContaining(['opt1c0', 'partneropt1c0']));
  const lent = calls.filter((c) => c.of === 'partner');
  expect(lent.filter((c) => c.step === 'generate').map((c) => [c.at.arm, c.at.round])).toEqual([[null, 0], ['opt', 1]]); // prettier-ignore
  // Its last feedback is not wanted.
  expect(lent.filter((c) => c.step === 'feedback').map((c) => c.at.round)).toEqual([1]);
  const own = calls.filter((c) => c.of === undefined && c.step === 'feedback').map((c) => c.at);
  expect(own).toEqual([1, 2].map((round) => ({ arm: 'opt-blind', round, draw: 0 })));
});
