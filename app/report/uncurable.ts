import { gainBy } from '../../core/item-plan.js';
import type { Recipe } from '../../core/recipe.js';
import { controlName } from './arm-statistics.js';
import type { ItemArmResult, ItemResult, UncurableItem } from './results-document.js';

/** What an item that nothing helped was offered, and how near it came. */
export function uncurableItem(item: ItemResult, recipe: Recipe): UncurableItem {
  const primary = recipe.scores.primary.metric;
  const closest = (arm: ItemArmResult) => {
    const gains = arm.rounds.slice(1).map((round) => ({
      round: round.round,
      gain: gainBy(primary, round.scores[primary] ?? NaN, arm.rounds[0]!.scores[primary] ?? NaN),
      feedback: round.feedback,
    }));
    return gains.filter(({ gain }) => !Number.isNaN(gain)).sort((a, b) => b.gain - a.gain)[0];
  };
  const oracles = item.arms
    .filter((arm) => arm.oracle)
    .flatMap((arm) => {
      const best = closest(arm);
      return best ? [{ arm: arm.name, ...best }] : [];
    });
  const draws = item.arms.filter((arm) => arm.name === controlName(recipe)).flatMap((arm) => closest(arm) ?? []);
  const control = draws.sort((a, b) => b.gain - a.gain)[0];
  return { id: item.id, caption: item.caption, oracles, control: control ? { draw: control.round, gain: control.gain } : null };
}
