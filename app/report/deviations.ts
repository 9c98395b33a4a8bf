import type { AnalysisPlan, RunManifest } from '../../core/recipe.js';
import type { ItemResult, ResultsDocument } from './results-document.js';

/** Where the results are not what was planned before round 0, one sentence each; empty without a plan, since nothing was promised. */
export function deviations(
  plan: AnalysisPlan | null,
  { recipe, recipeDigest }: Pick<RunManifest, 'recipe' | 'recipeDigest'>,
  items: readonly ItemResult[],
  excluded: ResultsDocument['excluded'],
): string[] {
  if (plan === null) return [];
  const found: string[] = [];
  if (plan.recipeDigest !== recipeDigest) found.push('The recipe is not the one that was planned.');
  if (plan.primary !== recipe.scores.primary.metric) {
    found.push(`The primary score is ${recipe.scores.primary.metric}; planned was ${plan.primary}.`);
  }
  const n = items.length - excluded.length;
  if (n !== plan.n) {
    const states = new Map<string, number>();
    for (const { id } of excluded) {
      const item = items.find((i) => i.id === id);
      const why = item && item.trainedOn.length > 0 && item.state !== 'failed' ? 'trained on' : (item?.state ?? 'unknown');
      states.set(why, (states.get(why) ?? 0) + 1);
    }
    const why = [...states].map(([state, count]) => `${count} ${state}`).join(', ');
    found.push(`${n} items stand in the means; planned were ${plan.n}${why ? ` (left out: ${why})` : ''}.`);
  }
  return found;
}
