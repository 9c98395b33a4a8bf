import { FEEDBACK_KINDS, gainBy, scoreNames } from '../../core/item-plan.js';
import type { ArmRecipe, Recipe } from '../../core/recipe.js';
import type { ArmOutcome, ItemRecord } from '../../core/types.js';
import { bcaBootstrap, effectSize, holm, signFlipTest, varianceComponents, winTieLoss } from '../../engine/metrics/index.js';
import { armCalls, armScores, isUnmatched, type ArmScores } from './estimands.js';
import {
  ESTIMANDS,
  type ArmResult,
  type ComparisonResult,
  type ArmWords,
  type Estimand,
  type EstimandResult,
  type MetricResult,
  type PairedResult,
  type Retention,
  type RoundMean,
  type VarianceShares,
} from './results-document.js';

export const controlName = (recipe: Recipe): string | null => recipe.arms.find((a) => a.feedback === null)?.name ?? null;

/** Name of the arm that shows the feedback of `arm` to other items, or of the one in which its critic is shown other items' pictures. */
export function placeboOf(recipe: Recipe, arm: string, swap?: 'picture'): string | null {
  const found = recipe.arms.find(({ feedback }) => feedback?.source === 'shuffled' && feedback.from === arm && feedback.swap === swap);
  return found?.name ?? null;
}

/**
 * Statistics of every arm over `records`: the items that stand in the means. Repeats of an item are averaged first, so that an item
 * counts once however often it was run.
 * @param words by arm: what its feedback is like
 */
export function armResults(recipe: Recipe, records: readonly ItemRecord[], words: Record<string, ArmWords> = {}): ArmResult[] {
  const primary = recipe.scores.primary.metric;
  const results = recipe.arms.map((arm): ArmResult => {
    const outcomes = records.flatMap((r) => r.arms.filter((a) => a.name === arm.name));
    const rounds = outcomes.flatMap((a) => a.rounds.slice(1));
    const metrics = scoreNames(recipe).map((metric) => [metric, metricResult(recipe, records, arm.name, metric)] as const);
    return {
      name: arm.name,
      oracle: arm.oracle,
      learned: isLearned(arm),
      placeboOf: arm.feedback?.source === 'shuffled' ? arm.feedback.from : null,
      placebo: placeboOf(recipe, arm.name),
      swap: arm.feedback?.source === 'shuffled' ? (arm.feedback.swap ?? 'feedback') : null,
      otherPicture: placeboOf(recipe, arm.name, 'picture'),
      n: metrics[0]![1].fixed.n,
      generatorCalls: outcomes.reduce((sum, outcome) => sum + armCalls(outcome), 0),
      unmatched: records.filter((r) => repeatsOf(r, recipe, arm.name).some(({ outcome, control }) => isUnmatched(outcome, control))).length,
      feedbackCalls: asksCritic(recipe, arm) ? rounds.length * (arm.candidates ?? 1) : 0,
      cut: { prompts: rounds.filter((r) => r.tokens.cut > 0).length, tokens: rounds.reduce((sum, r) => sum + r.tokens.cut, 0) },
      curve: curveOf(recipe, records, arm.name, primary),
      retention: retentionOf(recipe, records, arm.name, primary),
      attainable: null,
      variance: varianceOf(recipe, records, arm.name, primary),
      ...(words[arm.name] ?? NO_WORDS),
      scores: Object.fromEntries(metrics),
    };
  });
  for (const result of results) result.attainable = attainable(result, results, primary);
  adjustPrimary(results, primary);
  adjustSecondary(results, primary);
  return results;
}

/** An arm whose feedback a model writes that has not seen the true picture. */
const isLearned = ({ feedback, oracle }: ArmRecipe): boolean => feedback !== null && !oracle && FEEDBACK_KINDS[feedback.source].looks;

/** Its texts are a model's that is asked for this item, not looked up or borrowed. */
function asksCritic(recipe: Recipe, { feedback }: ArmRecipe): boolean {
  if (feedback?.source !== 'shuffled') return feedback !== null && FEEDBACK_KINDS[feedback.source].looks;
  return feedback.swap === 'picture' && recipe.arms.some((arm) => arm.name === feedback.from && asksCritic(recipe, arm));
}

const NO_WORDS: ArmWords = { feedback: null, copied: null, training: null };

function metricResult(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string): MetricResult {
  const fixed = scoresOf(recipe, records, arm, metric, 'fixed').filter((s) => s !== undefined);
  const estimands = ESTIMANDS.map((e) => [e, estimandResult(recipe, records, arm, metric, e)] as const);
  return {
    mean: mean(fixed.map((s) => s.score)),
    round0Mean: mean(fixed.map((s) => s.round0)),
    ...(Object.fromEntries(estimands) as Record<Estimand, EstimandResult>),
  };
}

/** An arm's paired differences by one metric and estimand: to round 0, to the control, to its placebo. */
export function estimandResult(
  recipe: Recipe,
  records: readonly ItemRecord[],
  arm: string,
  metric: string,
  estimand: Estimand,
): EstimandResult {
  const own = scoresOf(recipe, records, arm, metric, estimand);
  const compare = (against: string, other: (scores: ArmScores, item: number) => number | null | undefined) => {
    const differences = own.flatMap((scores, item) => {
      const value = scores && other(scores, item);
      return scores && typeof value === 'number' ? [gainBy(metric, scores.score, value)] : [];
    });
    return comparison(differences, `${arm}/${metric}/${against}`);
  };
  const { mean: gainMean, ...gain } = compare('round 0', (s) => s.round0);
  const control = controlName(recipe);
  const against = (other: string | null) => {
    const scores = other === null ? [] : scoresOf(recipe, records, other, metric, estimand);
    return (_: ArmScores, item: number) => scores[item]?.score;
  };
  const [placebo, otherPicture] = [placeboOf(recipe, arm), placeboOf(recipe, arm, 'picture')];
  return {
    gainMean,
    ...gain,
    vsControl: control === null || control === arm ? null : compare('control', (s) => s.control),
    ...(placebo === null ? {} : { vsPlacebo: compare('placebo', against(placebo)) }),
    ...(otherPicture === null ? {} : { vsOtherPicture: compare('other picture', against(otherPicture)) }),
  };
}

/** An arm's outcome in every repeat of an item, with the control's of the same repeat. */
function repeatsOf(record: ItemRecord, recipe: Recipe, arm: string): Array<{ outcome: ArmOutcome; control: ArmOutcome | undefined }> {
  const control = controlName(recipe);
  return record.arms
    .filter((a) => a.name === arm)
    .map((outcome) => ({ outcome, control: record.arms.find((a) => a.name === control && a.repeat === outcome.repeat) }));
}

/** One entry an item, its repeats averaged; `undefined` where the arm has no result on it. */
function scoresOf(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string, estimand: Estimand) {
  return records.map((record): ArmScores | undefined => {
    const scores = repeatScores(record, recipe, arm, metric, estimand);
    if (scores.length === 0) return undefined;
    const controls = scores.flatMap((s) => (s.control === null ? [] : [s.control]));
    return {
      round0: mean(scores.map((s) => s.round0))!,
      score: mean(scores.map((s) => s.score))!,
      control: controls.length === scores.length ? mean(controls) : null,
    };
  });
}

function repeatScores(record: ItemRecord, recipe: Recipe, arm: string, metric: string, estimand: Estimand): ArmScores[] {
  return repeatsOf(record, recipe, arm).flatMap(
    ({ outcome, control }) => armScores(outcome, control, metric, recipe.scores.select.metric, estimand) ?? [],
  );
}

/** An item's gain over round 0 at a round, its repeats averaged; `undefined` where it did not get there. */
function gainAt(
  record: ItemRecord,
  recipe: Recipe,
  arm: string,
  metric: string,
  round: number,
): { gain: number; score: number } | undefined {
  const reached = repeatsOf(record, recipe, arm).flatMap(({ outcome }) => {
    const [first, score] = [outcome.rounds[0]?.scores[metric], outcome.rounds[round]?.scores[metric]];
    return outcome.state === 'failed' || first === undefined || score === undefined ? [] : [{ gain: gainBy(metric, score, first), score }];
  });
  if (reached.length === 0) return undefined;
  return { gain: mean(reached.map((r) => r.gain))!, score: mean(reached.map((r) => r.score))! };
}

function curveOf(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string): RoundMean[] {
  return Array.from({ length: recipe.rounds + 1 }, (_, round) => round).flatMap((round) => {
    const reached = records.flatMap((record) => gainAt(record, recipe, arm, metric, round) ?? []);
    if (reached.length === 0) return [];
    const gains = reached.map((r) => r.gain);
    const interval = round === 0 ? null : bcaBootstrap(gains, `${arm}/${metric}/round ${round}`);
    const score = mean(reached.map((r) => r.score))!;
    return [{ round, n: reached.length, mean: score, gainMean: mean(gains)!, ci95: interval?.interval ?? null }];
  });
}

/** Best round by mean gain against the last one, over the items that reached the last. */
function retentionOf(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string): Retention | null {
  if (recipe.rounds < 2 || arm === controlName(recipe)) return null;
  const gains = records
    .map((record) => Array.from({ length: recipe.rounds }, (_, r) => gainAt(record, recipe, arm, metric, r + 1)?.gain))
    .filter((rounds): rounds is number[] => rounds.every((gain) => gain !== undefined));
  if (gains.length === 0) return null;
  const means = gains[0]!.map((_, round) => mean(gains.map((g) => g[round]!))!);
  const best = means.indexOf(Math.max(...means));
  const changes = gains.map((g) => g.at(-1)! - g[best]!);
  return {
    bestRound: best + 1,
    bestGain: means[best]!,
    lastGain: means.at(-1)!,
    change: comparison(changes, `${arm}/${metric}/last over round ${best + 1}`),
  };
}

function varianceOf(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string): VarianceShares | null {
  const groups = records.map((r) => repeatScores(r, recipe, arm, metric, 'fixed').map((s) => gainBy(metric, s.score, s.round0)));
  const found = varianceComponents(groups.filter((g) => g.length === recipe.repeats));
  return found && { repeats: recipe.repeats, item: found.between, seed: found.within };
}

/** Where an arm's `fixed` gain lies between its placebo's (0) and the best oracle's (1). */
function attainable(arm: ArmResult, arms: readonly ArmResult[], primary: string): ArmResult['attainable'] {
  const gain = (a: ArmResult | undefined) => a?.scores[primary]?.fixed.gainMean ?? null;
  const oracles = arms.filter((a) => a.oracle && gain(a) !== null).sort((a, b) => gain(b)! - gain(a)!);
  const [own, placebo, oracle] = [gain(arm), gain(arms.find((a) => a.name === arm.placebo)), oracles[0]];
  if (own === null || placebo === null || !oracle || arm.oracle || gain(oracle)! - placebo <= 0) return null;
  return { share: (own - placebo) / (gain(oracle)! - placebo), oracle: oracle.name };
}

/** Paired differences, one an item: their mean and what it can be trusted for. `name` as in {@link paired}. */
export function comparison(differences: number[], name: string): ComparisonResult {
  return { mean: mean(differences), ...paired(differences, name) };
}

/**
 * @param name names the data, and so the draws: the same data give the same numbers in any run, and where two estimands agree, as `best`
 * and `stopped` do without a stop policy, they agree in their intervals too
 */
function paired(differences: number[], name: string): PairedResult {
  const key = JSON.stringify([name, differences]);
  let result = computed.get(key);
  if (!result) {
    const p = signFlipTest(differences, name);
    result = {
      n: differences.length,
      ci95: bcaBootstrap(differences, name)?.interval ?? null,
      ...winTieLoss(differences),
      effectSize: effectSize(differences),
      p,
      pAdjusted: p,
    };
    if (computed.size >= REMEMBERED) computed.clear();
    computed.set(key, result);
  }
  return { ...result };
}

/** Results by name and data: estimands share them, and a page that is written again while a run goes on. */
const computed = new Map<string, PairedResult>();
const REMEMBERED = 500;

type Comparison = (e: EstimandResult) => PairedResult | null | undefined;
const COMPARISONS: Comparison[] = [(e) => e, (e) => e.vsControl, (e) => e.vsPlacebo, (e) => e.vsOtherPicture];

/** Several learned arms are several tries at one claim: Holm over them on the primary metric, apart for each estimand and comparison. */
function adjustPrimary(arms: ArmResult[], primary: string): void {
  const learned = arms.filter((arm) => arm.learned);
  for (const estimand of ESTIMANDS) {
    for (const comparison of COMPARISONS) adjust(learned.map((arm) => comparison(arm.scores[primary]![estimand])));
  }
}

/** Holm over all arms and secondary metrics, apart for each estimand and comparison: those are the tables that are read as one. */
function adjustSecondary(arms: ArmResult[], primary: string): void {
  const secondary = arms.flatMap((arm) => Object.entries(arm.scores).flatMap(([metric, result]) => (metric === primary ? [] : [result])));
  for (const estimand of ESTIMANDS) {
    for (const comparison of COMPARISONS) adjust(secondary.map((result) => comparison(result[estimand])));
  }
}

/** Adjusts a family of tests in place. */
function adjust(tests: Array<PairedResult | null | undefined>): void {
  const family = tests.filter((t): t is PairedResult => t !== null && t !== undefined && t.p !== null);
  holm(family.map((t) => t.p!)).forEach((p, i) => (family[i]!.pAdjusted = p));
}

function mean(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, v) => sum + v, 0) / values.length;
}
