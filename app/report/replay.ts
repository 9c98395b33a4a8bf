import { itemPlan } from '../../core/item-plan.js';
import { replayItem } from '../../core/policy/replay.js';
import type { Recipe } from '../../core/recipe.js';
import type { ResultsInput } from './results.js';

/**
 * A run's results as another stop, gate or selector would have left them, from its records alone. The document says that it is a replay,
 * and of how many arms the records end before the policy would have.
 * @param recipe the run's recipe with the other policy in it
 * @param policy what was asked for, as words
 */
export function replayed<Input extends ResultsInput>(input: Input, recipe: Recipe, policy: string): Input {
  const plan = itemPlan(recipe);
  const items = input.records.map((record) => replayItem(plan, record));
  const cut = items.reduce((sum, item) => sum + item.cut, 0);
  const remarks = [
    `Replayed under ${policy} from the records of a run that was carried out otherwise: looked at afterwards, and with no model call.`,
    ...(cut > 0
      ? [
          `${cut} ${cut === 1 ? 'arm of an item' : 'arms of items'} would have gone on under this policy where the run had ended; shown as far as the records go.`,
        ]
      : []),
  ];
  const { recipe: own } = input.manifest;
  const chosen = own.arms.filter(({ candidates }) => candidates !== undefined).map(({ name }) => name);
  if (chosen.length > 0 && own.scores.select.metric !== recipe.scores.select.metric) {
    remarks.push(`Among the candidates of a round of ${chosen.join(', ')} ${own.scores.select.metric} had chosen: that stays.`);
  }
  return {
    ...input,
    manifest: { ...input.manifest, recipe },
    records: items.map(({ record }) => record),
    remarks: [...(input.remarks ?? []), ...remarks],
  };
}
