import { itemKey } from '../../core/ids.js';
import { bestRound } from '../../core/policy/stop.js';
import type { ArmRecipe, RunManifest } from '../../core/recipe.js';
import type { ArmOutcome, IndexedItem, ItemRecord, RoundOutcome } from '../../core/types.js';
import type { ResultsInput } from '../../app/report/results.js';

/** Scores of one round: primary (`image_similarity`) and selector (`clip_text`). */
export type Scores = [primary: number, selector: number];
/** Scores by arm, round 0 first, of one item. */
export type ItemScores = Record<string, Scores[]>;

const digest = (text: string) => `sha256:${Buffer.from(text).toString('hex').padEnd(64, '0').slice(0, 64)}` as const;
const zero = { steps: { executed: 0, cached: 0, retried: 0 }, spent: { images: 0, seconds: 0, usd: 0 } };

export const arm = (name: string, feedback: ArmRecipe['feedback'], oracle = false): ArmRecipe => ({
  name,
  oracle,
  feedback,
  refine: 'append',
  feedbackWeight: 0.5,
  seeds: 'keep',
});

export const ARMS = [
  arm('control', null),
  arm('written', { source: 'dataset', column: 'feedback' }),
  arm('placebo', { source: 'shuffled', from: 'written' }),
];

/** A run whose every score is given: for tests that compute by hand. */
export function testRun(scores: ItemScores[], arms: ArmRecipe[] = ARMS): ResultsInput {
  const items = scores.map((_, position) => testItem(position));
  return {
    manifest: testManifest(arms),
    items,
    records: scores.map((s, position) => testRecord(items[position]!, s)),
    skipped: [],
    readText: (value) => Promise.resolve(value.text ?? 'a long text'),
  };
}

export function testItem(position: number): IndexedItem {
  const id = `item-${position}`;
  const caption = `caption ${position}`;
  return {
    offset: position,
    position,
    id,
    key: itemKey(id),
    caption,
    feedback: {},
    strata: {},
    trainedOn: [],
    source: { file: 'm.jsonl', line: position },
  };
}

export function testRecord({ id, key, position }: IndexedItem, scores: ItemScores): ItemRecord {
  const arms = Object.entries(scores).map(([name, rounds]): ArmOutcome => {
    const best = bestRound(rounds.map(([, selector]) => selector));
    return {
      name,
      repeat: 0,
      oracle: false,
      state: 'unchanged',
      rounds: rounds.map((s, round) => testRound(name, round, s)),
      best: { round: best },
      stopped: { round: best, reason: 'rounds' },
    };
  });
  return { id, key, position, state: 'unchanged', arms, ...zero };
}

function testRound(name: string, round: number, [primary, selector]: Scores): RoundOutcome {
  return {
    round,
    draw: round,
    seed: round,
    prompt: { form: 'join', parts: [] },
    feedback: round === 0 || name === 'control' ? null : { text: `feedback ${round} of ${name}` },
    image: { digest: digest(`${name}${round}`), mediaType: 'image/png', bytes: 1, derivedFrom: [] },
    tokens: { used: 5, cut: 0 },
    scores: { image_similarity: primary, clip_text: selector },
    steps: {},
  };
}

function testManifest(arms: ArmRecipe[]): RunManifest {
  return {
    formatVersion: 1,
    runId: 'r1',
    recipe: {
      name: 'hand',
      dataset: {
        uri: './d',
        split: null,
        sample: null,
        limit: null,
        columns: { id: 'id', caption: 'text', image: 'file_name', feedback: 'feedback' },
        strata: [],
      },
      seed: 1,
      generator: {
        model: './g',
        scheduler: null,
        numInferenceSteps: 1,
        guidanceScale: 1,
        negativePrompt: '',
        height: null,
        width: null,
        provider: 'onnx',
      },
      rounds: 2,
      arms,
      scores: { select: { metric: 'clip_text', model: './s' }, primary: { metric: 'image_similarity', model: './p' }, report: [] },
      stop: { target: null, patience: null, minGain: 0 },
      gate: { score: null },
      batching: 'exact',
      executionProvider: 'cpu',
      repeats: 1,
      glossary: {},
      budget: { images: null, seconds: null, usd: null },
    },
    recipeDigest: digest('recipe'),
    datasetUri: 'file:///on/this/machine/d',
    models: { './g': { path: '/on/this/machine/g', digest: digest('g'), trainedOn: [digest('x')] } },
    runtime: { engine: 'onnxruntime', version: '1', provider: 'cpu', precision: 'float32', batching: 'exact' },
    software: { name: 'refineloop', version: '0.1.0' },
    createdAt: '2026-01-01T00:00:00.000Z',
  };
}
