import { scoreNames } from '../../core/item-plan.js';
import type { Recipe } from '../../core/recipe.js';
import type { ItemRecord } from '../../core/types.js';
import { bcaBootstrap, holm, signFlipTest, winTieLoss } from '../../engine/metrics/index.js';
import { armScores, isUnmatched, type ArmScores } from './estimands.js';
import { ESTIMANDS, type ArmResult, type Estimand, type EstimandResult, type MetricResult, type PairedResult } from './results-document.js';

export const controlName = (recipe: Recipe): string | null => recipe.arms.find((a) => a.feedback === null)?.name ?? null;

/** Name of the arm that shows the feedback of `arm` to other items. */
export function placeboOf(recipe: Recipe, arm: string): string | null {
  return recipe.arms.find(({ feedback }) => feedback?.source === 'shuffled' && feedback.from === arm)?.name ?? null;
}

/** Statistics of every arm over `records`: the items that stand in the means. */
export function armResults(recipe: Recipe, records: readonly ItemRecord[]): ArmResult[] {
  const results = recipe.arms.map((arm): ArmResult => {
    const outcomes = records.flatMap((r) => r.arms.filter((a) => a.name === arm.name));
    const control = controlName(recipe);
    const metrics = scoreNames(recipe).map((metric) => [metric, metricResult(recipe, records, arm.name, metric)] as const);
    return {
      name: arm.name,
      oracle: arm.oracle,
      placeboOf: arm.feedback?.source === 'shuffled' ? arm.feedback.from : null,
      placebo: placeboOf(recipe, arm.name),
      n: metrics[0]![1].fixed.n,
      generatorCalls: outcomes.reduce((sum, a) => sum + a.rounds.length - 1, 0),
      unmatched: records.filter((r) => {
        const outcome = r.arms.find((a) => a.name === arm.name);
        return (
          outcome !== undefined &&
          isUnmatched(
            outcome,
            r.arms.find((a) => a.name === control),
          )
        );
      }).length,
      scores: Object.fromEntries(metrics),
    };
  });
  adjustSecondary(results, recipe.scores.primary.metric);
  return results;
}

function metricResult(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string): MetricResult {
  const fixed = scoresOf(recipe, records, arm, metric, 'fixed').filter((s) => s !== undefined);
  const estimands = ESTIMANDS.map((e) => [e, estimandResult(recipe, records, arm, metric, e)] as const);
  return {
    mean: mean(fixed.map((s) => s.score)),
    round0Mean: mean(fixed.map((s) => s.round0)),
    ...(Object.fromEntries(estimands) as Record<Estimand, EstimandResult>),
  };
}

function estimandResult(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string, estimand: Estimand): EstimandResult {
  const own = scoresOf(recipe, records, arm, metric, estimand);
  const compare = (against: string, other: (scores: ArmScores, item: number) => number | null | undefined) => {
    const differences = own.flatMap((scores, item) => {
      const value = scores && other(scores, item);
      return scores && typeof value === 'number' ? [scores.score - value] : [];
    });
    return { mean: mean(differences), ...paired(differences, `${arm}/${metric}/${against}`) };
  };
  const { mean: gainMean, ...gain } = compare('round 0', (s) => s.round0);
  const control = controlName(recipe);
  const placebo = placeboOf(recipe, arm);
  const placeboScores = placebo === null ? [] : scoresOf(recipe, records, placebo, metric, estimand);
  return {
    gainMean,
    ...gain,
    vsControl: control === null || control === arm ? null : compare('control', (s) => s.control),
    ...(placebo === null ? {} : { vsPlacebo: compare('placebo', (_, item) => placeboScores[item]?.score) }),
  };
}

/** One entry an item, `undefined` where the arm has no result on it. */
function scoresOf(recipe: Recipe, records: readonly ItemRecord[], arm: string, metric: string, estimand: Estimand) {
  const control = controlName(recipe);
  return records.map((record) => {
    const outcome = record.arms.find((a) => a.name === arm);
    const controlOutcome = record.arms.find((a) => a.name === control);
    return outcome && armScores(outcome, controlOutcome, metric, recipe.scores.select.metric, estimand);
  });
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

/** Holm over all arms and secondary metrics, apart for each estimand and comparison: those are the tables that are read as one. */
function adjustSecondary(arms: ArmResult[], primary: string): void {
  const comparisons: Array<(e: EstimandResult) => PairedResult | null | undefined> = [(e) => e, (e) => e.vsControl, (e) => e.vsPlacebo];
  for (const estimand of ESTIMANDS) {
    for (const comparison of comparisons) {
      const family = arms.flatMap((arm) =>
        Object.entries(arm.scores).flatMap(([metric, result]) => {
          const tested = metric === primary ? null : comparison(result[estimand]);
          return tested && tested.p !== null ? [tested] : [];
        }),
      );
      const adjusted = holm(family.map((t) => t.p!));
      family.forEach((tested, i) => (tested.pAdjusted = adjusted[i]!));
    }
  }
}

function mean(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, v) => sum + v, 0) / values.length;
}
