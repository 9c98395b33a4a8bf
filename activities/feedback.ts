import { InvalidInput } from '../core/errors.js';
import type { FeedbackSource } from '../core/item-plan.js';
import type { FeedbackRecipe, RunManifest } from '../core/recipe.js';
import { INLINE_TEXT_BYTES, type ArtifactRef, type IndexedItem, type TextValue } from '../core/types.js';
import type { PreparedStep, StepDefinition } from './run-step.js';
import type { RunContext } from './services.js';
import type { FeedbackInput } from './types.js';

type Written = { feedback: TextValue & { ref: ArtifactRef } };
type FeedbackWriter = (run: RunContext, input: FeedbackInput) => Promise<PreparedStep>;

/** How each source writes feedback. A source that calls a model does so in `execute`; these two only look up. */
const writers: Record<FeedbackSource, FeedbackWriter> = {
  dataset: async (run, { item, at, arm }) => {
    const own = await run.files.readIndexed(item.offset);
    return columnFeedback(own, columnOf(run.manifest, arm), at.round);
  },
  shuffled: async (run, { item, at, arm }) => {
    const own = await run.files.readIndexed(item.offset);
    if (own.placebo === undefined) throw new InvalidInput(`item ${item.id} has no other item to take a placebo's feedback from`);
    return columnFeedback(await run.files.readIndexed(own.placebo), columnOf(run.manifest, arm), at.round);
  },
};

/** What to change about the last picture, as a text. Feedback by someone who saw the true picture descends from it. */
export const feedbackStep: StepDefinition<FeedbackInput, Written> = {
  step: 'feedback',
  version: 1,
  prepare: (run, input) => writers[feedbackOf(run.manifest, input.arm).source](run, input),
  async execute({ store }, _input, { inputs, params }) {
    const text = params['text'] as string;
    const feedback = await store.putArtifact(Buffer.from(text, 'utf8'), 'text/plain; charset=utf-8', inputs);
    return { outputs: { feedback }, values: feedback.bytes <= INLINE_TEXT_BYTES ? { text } : {} };
  },
  read: ({ outputs, values }) => {
    const text = values['text'] as string | undefined;
    return { feedback: { ref: outputs['feedback']!, ...(text === undefined ? {} : { text }) } };
  },
};

/** Rounds for which an arm has feedback on an item; `undefined`: for every round. */
export async function feedbackRounds(run: RunContext, item: IndexedItem, arm: string): Promise<number | undefined> {
  const feedback = run.manifest.recipe.arms.find((a) => a.name === arm)?.feedback;
  if (!feedback) return undefined;
  if (feedback.source === 'dataset') return columnTexts(item, columnOf(run.manifest, arm)).length;
  if (item.placebo === undefined) return 0;
  return columnTexts(await run.files.readIndexed(item.placebo), columnOf(run.manifest, arm)).length;
}

function columnFeedback(from: IndexedItem, column: string, round: number): PreparedStep {
  const text = columnTexts(from, column)[round - 1];
  if (text === undefined)
    throw new InvalidInput(
      `item ${from.id} has no feedback for round ${round} in column ${column} (${from.source.file}:${from.source.line})`,
    );
  return {
    inputs: from.trueImage ? [from.trueImage.digest] : [],
    params: { source: 'dataset', text },
    model: null,
    runtime: null,
    draw: 0,
  };
}

function columnTexts(item: IndexedItem, column: string): string[] {
  return item.feedback[column] ?? [];
}

/** The dataset column behind an arm: its own, or that of the arm it shuffles. */
function columnOf(manifest: RunManifest, arm: string): string {
  const feedback = feedbackOf(manifest, arm);
  if (feedback.source === 'shuffled') return columnOf(manifest, feedback.from);
  return feedback.column ?? manifest.recipe.dataset.columns.feedback;
}

function feedbackOf(manifest: RunManifest, arm: string): FeedbackRecipe {
  const feedback = manifest.recipe.arms.find((a) => a.name === arm)?.feedback;
  if (!feedback) throw new InvalidInput(`arm ${arm} has no feedback source in the recipe`);
  return feedback;
}
