import fc from 'fast-check';
import type { ItemPlan } from '../item-plan.js';
import { refineLoop, type Steps } from '../refine-loop.js';
import type { ArtifactRef, ItemOutcome, ItemRecord, StepMeta } from '../types.js';
import { replayItem } from './replay.js';

const ref = (name: string): ArtifactRef => ({ digest: `sha256:${name}`, mediaType: 'image/png', bytes: 1, derivedFrom: [] });
const meta: StepMeta = { key: 'k', cached: false, seconds: 1, attempts: 1 };

/** Scores by arm and round: what an item would get if it went so far. */
type Scores = Record<string, Array<[select: number, primary: number]>>;

const ARMS = ['control', 'written', 'opt'];

function plan(policy: Partial<Pick<ItemPlan, 'stop' | 'gate'>>): ItemPlan {
  const arm = (name: string) => ({
    name,
    oracle: name === 'written',
    source: name === 'control' ? null : ('dataset' as const),
    encodes: false,
    memory: false,
    refine: 'append' as const,
    feedbackWeight: 0.5,
    seeds: 'keep' as const,
  });
  return {
    rounds: 3,
    arms: ARMS.map(arm),
    select: 'clip_text',
    primary: 'image_similarity',
    imageEncoders: [],
    textEncoders: [],
    scoreQueue: 'orchestrator',
    stop: { target: null, patience: null, minGain: 0 },
    gate: null,
    repeats: 1,
    ...policy,
  };
}

/** The loop itself over given scores; `written` has feedback for two rounds only. */
function live(of: ItemPlan, scores: Scores): Promise<ItemOutcome> {
  const steps: Steps = {
    generate: (at) => Promise.resolve({ ...meta, image: ref(`${at.arm}${at.round}`), seed: 1, tokens: { used: 1, cut: 0 } }),
    embed: (_, wanted) => Promise.resolve(wanted.map(() => ({ embeddings: {}, meta: [] }))),
    feedback: (at) =>
      Promise.resolve({ ...meta, feedback: { text: `${at.arm} ${at.round}`, digest: `sha256:f${at.round}` }, usd: 0 } as never),
    score: (at) => {
      const [select, primary] = scores[at.arm ?? 'written']![at.round]!;
      return Promise.resolve({ ...meta, scores: { clip_text: select, image_similarity: primary } });
    },
    partner: () => steps,
  };
  const item = { caption: { text: 'a fox' }, trueImage: null, feedbackRounds: { written: 2 }, partner: null };
  return refineLoop(of, item, steps);
}

const everyArm = (scores: number[]): Scores => Object.fromEntries(ARMS.map((arm) => [arm, scores.map((v) => [v, v])]));
const recordOf = ({ steps, spent, ...outcome }: ItemOutcome): ItemRecord => ({ id: 'a', key: 'a', position: 0, steps, spent, ...outcome });
const comparable = ({ arms, state }: { arms: ItemRecord['arms']; state: ItemRecord['state'] }) => ({ arms, state });

// Few values, so that equal scores and scores on a limit come up.
const score = fc.integer({ min: 0, max: 8 }).map((v) => v / 8);
const scoresOfItem: fc.Arbitrary<Scores> = fc
  .array(fc.array(fc.tuple(score, score), { minLength: 4, maxLength: 4 }), { minLength: 3, maxLength: 3 })
  .map((arms) => Object.fromEntries(ARMS.map((name, i) => [name, arms[i]!])));
const policies = fc.record({
  stop: fc.record({
    target: fc.option(score),
    patience: fc.option(fc.integer({ min: 1, max: 3 })),
    minGain: fc.constantFrom(0, 0.125, 0.25),
  }),
  gate: fc.option(score),
});

test('a run without a stop, replayed under one, is the run that had it', async () => {
  await fc.assert(
    fc.asyncProperty(scoresOfItem, policies, async (scores, policy) => {
      const replay = replayItem(plan(policy), recordOf(await live(plan({}), scores)));
      expect(comparable(replay.record)).toEqual(comparable(await live(plan(policy), scores)));
      expect(replay.cut).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('a run replayed under its own policy is itself', async () => {
  await fc.assert(
    fc.asyncProperty(scoresOfItem, policies, async (scores, policy) => {
      const record = recordOf(await live(plan(policy), scores));
      expect(replayItem(plan(policy), record)).toEqual({ record, cut: 0 });
    }),
    { numRuns: 300 },
  );
});

test('an arm that the policy would have carried on is counted, and goes no further than its record', async () => {
  const scores = everyArm([0.1, 0.5, 0.2, 0.9]);
  const record = recordOf(await live(plan({ stop: { target: 0.5, patience: null, minGain: 0 } }), scores));
  const { record: replay, cut } = replayItem(plan({}), record);
  expect(cut).toBe(2); // the control makes all its draws under any policy
  expect(replay.arms.map((arm) => arm.rounds.length)).toEqual([4, 2, 2]);
});

test('an arm that failed after the policy would have ended it did not fail', async () => {
  const scores = everyArm([0.1, 0.5, 0.2, 0.9]);
  const outcome = await live(plan({}), scores);
  const failure = { type: 'HostCrashed', message: 'gone', step: 'generate' as const, arm: 'opt', round: 2, attempt: 3 };
  const opt = outcome.arms[2]!;
  const failed: ItemRecord = {
    ...recordOf(outcome),
    state: 'failed',
    failure,
    arms: [...outcome.arms.slice(0, 2), { ...opt, rounds: opt.rounds.slice(0, 2), state: 'failed', stopped: { round: 1, reason: 'failed' }, failure }],
  }; // prettier-ignore
  expect(replayItem(plan({}), failed).record).toMatchObject({ state: 'failed', failure });
  const stopped = replayItem(plan({ stop: { target: 0.4, patience: null, minGain: 0 } }), failed).record;
  expect(stopped.failure).toBeUndefined();
  expect(stopped).toMatchObject({ state: 'improved', arms: [{}, {}, { state: 'improved', stopped: { round: 1, reason: 'target' } }] });
});
