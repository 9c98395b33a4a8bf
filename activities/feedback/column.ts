import { InvalidInput } from '../../core/errors.js';
import type { FeedbackRecipe, RunManifest } from '../../core/recipe.js';
import type { IndexedItem } from '../../core/types.js';
import type { FeedbackWriter } from './writer.js';

/** Feedback that stands in the dataset: the item's own, or for a placebo another item's. Looks up, calls nothing. */
export const columnWriter: FeedbackWriter = {
  async prepare({ manifest, files }, { item, at, arm }) {
    let from = await files.readIndexed(item.offset);
    if (feedbackOf(manifest, arm).source === 'shuffled') {
      if (from.placebo === undefined) throw new InvalidInput(`item ${item.id} has no other item to take a placebo's feedback from`);
      from = await files.readIndexed(from.placebo);
    }
    const text = columnTexts(manifest, from, arm)[at.round - 1];
    if (text === undefined) {
      const { file, line } = from.source;
      throw new InvalidInput(
        `item ${from.id} has no feedback for round ${at.round} in column ${columnOf(manifest, arm)} (${file}:${line})`,
      );
    }
    // An oracle's words descend from the picture that it saw.
    const seen = isOracle(manifest, arm) && from.trueImage ? [from.trueImage.digest] : [];
    return { inputs: seen, params: { source: 'dataset', text }, model: null, runtime: null, draw: 0 };
  },
  write: (_run, _input, { params }) => Promise.resolve({ text: params['text'] as string }),
};

/** What the column behind an arm holds for an item, one entry a round. */
export function columnTexts(manifest: RunManifest, item: IndexedItem, arm: string): string[] {
  return item.feedback[columnOf(manifest, arm)] ?? [];
}

export function feedbackOf(manifest: RunManifest, arm: string): FeedbackRecipe {
  const feedback = manifest.recipe.arms.find((a) => a.name === arm)?.feedback;
  if (!feedback) throw new InvalidInput(`arm ${arm} has no feedback source in the recipe`);
  return feedback;
}

/** The dataset column behind an arm: its own, or that of the arm it shuffles. */
function columnOf(manifest: RunManifest, arm: string): string {
  const feedback = feedbackOf(manifest, arm);
  if (feedback.source === 'shuffled') return columnOf(manifest, feedback.from);
  const own = feedback.source === 'dataset' ? feedback.column : null;
  return own ?? manifest.recipe.dataset.columns.feedback;
}

function isOracle(manifest: RunManifest, arm: string): boolean {
  const feedback = feedbackOf(manifest, arm);
  if (feedback.source === 'shuffled') return isOracle(manifest, feedback.from);
  return manifest.recipe.arms.find((a) => a.name === arm)!.oracle;
}
