import type { Recipe } from '../../core/recipe.js';
import type { IndexedItem, ItemRecord } from '../../core/types.js';
import { estimandResult } from './arm-statistics.js';
import type { Stratum } from './results-document.js';

/** The primary metric's `fixed` results apart for every value of the recipe's strata columns. */
export function strataResults(recipe: Recipe, items: readonly IndexedItem[], records: readonly ItemRecord[]): Stratum[] {
  const valueOf = new Map(items.map((item) => [item.key, item.strata]));
  return recipe.dataset.strata.flatMap((column) => {
    const values = [...new Set(records.map((r) => valueOf.get(r.key)?.[column] ?? '(none)'))].sort();
    return values.map((value): Stratum => {
      const within = records.filter((r) => (valueOf.get(r.key)?.[column] ?? '(none)') === value);
      const arms = recipe.arms.map((arm) => {
        const { n, gainMean, ci95, vsControl } = estimandResult(recipe, within, arm.name, recipe.scores.primary.metric, 'fixed');
        return { name: arm.name, oracle: arm.oracle, n, gainMean, ci95, vsControl };
      });
      return { column, value, arms };
    });
  });
}
