import { failureName } from '../../core/errors.js';
import { gainBy, scoreNames } from '../../core/item-plan.js';
import { promptText, refiners, shownPrompt } from '../../core/policy/refine.js';
import { feedbackModels, type AnalysisPlan, type ArmRecipe, type ModelEntry, type Recipe, type RunManifest } from '../../core/recipe.js';
import type { ArmOutcome, CandidateOutcome, IndexedItem, ItemRecord, SkippedRow, TextValue } from '../../core/types.js';
import { copiedNgrams, distinctNgrams } from '../../engine/metrics/index.js';
import { armResults, controlName } from './arm-statistics.js';
import { deviations } from './deviations.js';
import { armScores } from './estimands.js';
import type { ArmWords, ItemArmResult, ItemResult, ResultsDocument, RoundResult } from './results-document.js';
import { strataResults } from './strata.js';
import { uncurableItem } from './uncurable.js';

export interface ResultsInput {
  manifest: RunManifest;
  /** In any order; the document is in dataset order. */
  items: readonly IndexedItem[];
  records: readonly ItemRecord[];
  skipped: readonly SkippedRow[];
  /** What was planned before round 0; `null` where nothing was. */
  plan?: AnalysisPlan | null;
  /** Feedback texts that the arms' feedback is held against, to find what was copied. */
  trainingFeedback?: readonly string[];
  /** Where none are given: those that each model was taught with, by its path as it stands in the recipe. */
  taughtWith?: Readonly<Record<string, readonly string[]>>;
  /** Further sentences on how the report differs from what was planned. */
  remarks?: readonly string[];
  /** The text of a value, read from the store where it is a reference. */
  readText(value: TextValue): Promise<string>;
}

/**
 * The results of a run so far: what `report --json` prints and every other format is made from.
 * The same store gives the same document, byte for byte.
 */
export async function buildResults(input: ResultsInput): Promise<ResultsDocument> {
  const { manifest, items, records } = input;
  const { recipe } = manifest;
  const recordByKey = new Map(records.map((r) => [r.key, r]));
  const results = await itemResults(input);

  const excluded = results.flatMap((item) => {
    const reason = exclusion(item);
    return reason === null ? [] : [{ id: item.id, reason }];
  });
  const countedKeys = new Set(items.filter((item) => exclusion(stateOf(item, recordByKey.get(item.key))) === null).map((item) => item.key));
  const counted = records.filter((r) => countedKeys.has(r.key)).sort((a, b) => a.position - b.position);
  return {
    runId: manifest.runId,
    recipe,
    primary: recipe.scores.primary.metric,
    selector: recipe.scores.select.metric,
    metrics: scoreNames(recipe),
    control: controlName(recipe),
    runtime: manifest.runtime,
    software: manifest.software,
    models: Object.fromEntries(
      Object.entries(manifest.models).map(([name, { digest, trainedOn }]) => [name, { digest, trainedOn: trainedOn.length }]),
    ),
    items: results,
    arms: armResults(recipe, counted, armWords(input, results)),
    excluded,
    plan: input.plan ?? null,
    deviations: [...(input.remarks ?? []), ...deviations(input.plan ?? null, manifest, results, excluded)],
    uncurable: results.filter((item) => item.state === 'uncurable').map((item) => uncurableItem(item, recipe)),
    strata: strataResults(recipe, items, counted),
  };
}

/** What each item came to, in dataset order. */
export async function itemResults(input: ResultsInput): Promise<ItemResult[]> {
  const { items, records } = input;
  const recordByKey = new Map(records.map((r) => [r.key, r]));
  const indexed = items.map((item) => ({ position: item.position, build: () => itemResult(input, item, recordByKey.get(item.key)) }));
  const indexedPositions = new Set(items.map((item) => item.position));
  // A skipped row that a retry brought back is in the index too, and counts there. Ids do not tell: a row may be skipped for its double id.
  const skipped = input.skipped.filter((row) => !indexedPositions.has(row.position));
  const rows = [...indexed, ...skipped.map((row) => ({ position: row.position, build: () => Promise.resolve(skippedResult(row)) }))];
  const results: ItemResult[] = [];
  // One after another: thousands of items must not open thousands of artifacts at once.
  for (const row of rows.sort((a, b) => a.position - b.position)) results.push(await row.build());
  return results;
}

async function itemResult(input: ResultsInput, item: IndexedItem, record: ItemRecord | undefined): Promise<ItemResult> {
  const arms: ItemArmResult[] = [];
  for (const arm of record?.arms ?? []) arms.push(await itemArmResult(input, item, record!, arm));
  return {
    id: item.id,
    caption: item.caption,
    trueImage: item.trueImage?.digest ?? null,
    strata: item.strata,
    ...stateOf(item, record),
    arms,
  };
}

/** What decides whether an item counts. */
type CountedBy = Pick<ItemResult, 'state' | 'trainedOn' | 'reason' | 'failure'>;

function stateOf(item: IndexedItem, record: ItemRecord | undefined): CountedBy {
  return {
    state: record?.state ?? 'pending',
    trainedOn: item.trainedOn,
    ...(record?.reason !== undefined ? { reason: record.reason } : {}),
    ...(record?.failure ? { failure: record.failure } : {}),
  };
}

async function itemArmResult(input: ResultsInput, item: IndexedItem, record: ItemRecord, arm: ArmOutcome): Promise<ItemArmResult> {
  const { recipe } = input.manifest;
  const control = record.arms.find((a) => a.name === controlName(recipe) && a.repeat === arm.repeat);
  const gain = scoreNames(recipe).flatMap((metric) => {
    const scores = armScores(arm, control, metric, recipe.scores.select.metric, 'fixed');
    return scores ? [[metric, gainBy(metric, scores.score, scores.round0)] as const] : [];
  });
  return {
    name: arm.name,
    repeat: arm.repeat,
    oracle: arm.oracle,
    state: arm.state,
    rounds: await roundResults(input, item, arm),
    best: arm.best,
    stopped: arm.stopped,
    gain: Object.fromEntries(gain),
    ...(arm.failure ? { failure: arm.failure } : {}),
  };
}

async function roundResults(input: ResultsInput, item: IndexedItem, arm: ArmOutcome): Promise<RoundResult[]> {
  const { arms, glossary } = input.manifest.recipe;
  const recipe = arms.find((a) => a.name === arm.name);
  const feedback: string[] = [];
  const rounds: RoundResult[] = [];
  for (const round of arm.rounds) {
    const written = round.feedback ? await input.readText(round.feedback) : null;
    if (written !== null) feedback.push(written);
    const prompt = refiners[recipe?.refine ?? 'append'](
      { text: item.caption },
      feedback.map((text) => ({ text })),
      recipe?.feedbackWeight,
    );
    const texts = prompt.parts.map((part) => part.text!);
    rounds.push({
      round: round.round,
      prompt: shownPrompt(promptText(prompt, texts, glossary)),
      feedback: written,
      image: round.image.digest,
      seed: round.seed,
      tokens: round.tokens,
      scores: round.scores,
      ...(round.candidates ? { candidates: await candidateResults(input, round.candidates) } : {}),
    });
  }
  return rounds;
}

function candidateResults(input: ResultsInput, candidates: readonly CandidateOutcome[]): Promise<NonNullable<RoundResult['candidates']>> {
  return Promise.all(
    candidates.map(async ({ feedback, image, score }) => ({ feedback: await input.readText(feedback), image: image.digest, score })),
  );
}

function skippedResult({ id, caption, reason }: SkippedRow): ItemResult {
  return { id, caption, state: 'skipped', trainedOn: [], trueImage: null, strata: {}, arms: [], reason };
}

/** Why an item stands in no mean; `null` where it does. */
export function exclusion(item: CountedBy): string | null {
  switch (item.state) {
    case 'failed':
      return `failed: ${item.failure ? failureText(item.failure) : (item.reason ?? 'no reason recorded')}`;
    case 'skipped':
      return `skipped: ${item.reason ?? 'no reason recorded'}`;
    case 'cancelled':
      return item.reason ? `cancelled: ${item.reason}` : 'cancelled';
    case 'pending':
      return 'not finished yet';
    case 'improved':
    case 'unchanged':
    case 'uncurable':
      return item.trainedOn.length > 0 ? `trained on by ${item.trainedOn.join(', ')}` : null;
    default: {
      const unhandled: never = item.state;
      throw new Error(`no rule for items in state ${String(unhandled)}`);
    }
  }
}

/** One line: where, what, after how many attempts. */
export function failureText(failure: NonNullable<ItemResult['failure']>): string {
  const where =
    failure.arm === null ? `${failure.step} of round ${failure.round}` : `${failure.step} of ${failure.arm}, round ${failure.round}`;
  return `${failureName(failure)} in ${where} (attempt ${failure.attempt}): ${failure.message}`;
}

/** "3 items failed: 2 ModelOutputInvalid (blocked), 1 HostCrashed", most frequent first; `null` where none did. */
export function failuresText(items: ReadonlyArray<Pick<ItemResult, 'failure'>>): string | null {
  const names = items.flatMap(({ failure }) => (failure ? [failureName(failure)] : []));
  if (names.length === 0) return null;
  const counts = [...new Set(names)].map((name) => ({ name, count: names.filter((other) => other === name).length }));
  counts.sort((a, b) => b.count - a.count);
  const said = counts.map(({ name, count }) => `${count} ${name}`).join(', ');
  return `${names.length} ${names.length === 1 ? 'item' : 'items'} failed: ${said}`;
}

/** What the feedback of each arm that has some is like. */
function armWords({ manifest, trainingFeedback, taughtWith = {} }: ResultsInput, items: readonly ItemResult[]): Record<string, ArmWords> {
  const { recipe, models } = manifest;
  const words: Record<string, ArmWords> = {};
  for (const arm of recipe.arms) {
    const outcomes = items.flatMap((item) => item.arms.filter(({ name }) => name === arm.name));
    const texts = outcomes.flatMap(({ rounds }) => rounds.flatMap(({ feedback }) => (feedback === null ? [] : [feedback])));
    if (texts.length === 0) continue;
    const model = criticModel(recipe, arm);
    const entry = model === null ? undefined : models[model];
    const known = trainingFeedback ?? (model === null ? undefined : taughtWith[model]) ?? [];
    words[arm.name] = {
      feedback: distinctNgrams(texts),
      copied: known.length === 0 ? null : copiedNgrams(texts, known),
      training: arm.feedback?.source === 'shuffled' || !entry ? null : trainingOf(entry),
    };
  }
  return words;
}

function trainingOf({ trainedOn, measured }: ModelEntry): ArmWords['training'] {
  return trainedOn.length === 0 && !measured ? null : { items: trainedOn.length, ...measured };
}

/** The model that writes an arm's feedback, for this item or for another, as it stands in the recipe; `null` where none of the own devices does. */
function criticModel({ arms }: Recipe, { feedback }: ArmRecipe): string | null {
  const writes = feedback?.source === 'shuffled' ? arms.find(({ name }) => name === feedback.from)?.feedback : feedback;
  return feedbackModels(writes ?? null)['model'] ?? null;
}
