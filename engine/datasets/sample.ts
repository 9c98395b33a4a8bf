import type { DatasetRecipe } from '../../core/recipe.js';
import { permutation } from '../../core/seeds.js';

/**
 * The rows that a run takes: the first `limit`, or `sample.n` chosen at random by `sample.seed`, in dataset order.
 * Chosen before images are read, so that a spoilt one changes nothing about the others. More than there are: all.
 */
export function sampleRows<T>(rows: readonly T[], recipe: Pick<DatasetRecipe, 'limit' | 'sample'>): T[] {
  const { limit, sample } = recipe;
  const chosen = sample === null ? null : new Set(permutation(rows.length, sample.seed).slice(0, sample.n));
  const kept = chosen === null ? [...rows] : rows.filter((_, i) => chosen.has(i));
  return limit === null ? kept : kept.slice(0, limit);
}
