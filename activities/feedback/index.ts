import { InvalidInput } from '../../core/errors.js';
import { FEEDBACK_KINDS, type FeedbackSource } from '../../core/item-plan.js';
import { INLINE_TEXT_BYTES, type IndexedItem, type TextArtifact } from '../../core/types.js';
import type { StepDefinition } from '../run-step.js';
import type { ActivityServices, RunContext } from '../services.js';
import type { FeedbackInput } from '../types.js';
import { chatWriter } from './chat.js';
import { columnTexts, columnWriter, feedbackOf } from './column.js';
import { refuseLeak } from './leak-guard.js';
import { checkFeedback } from '../../core/policy/usable-feedback.js';
import { optWriter } from './opt.js';
import { pictureWriter } from './picture.js';
import type { FeedbackWriter } from './writer.js';

type Written = { feedback: TextArtifact; usd: number };

/** What to change about the last picture, as a text. Feedback by someone who saw the true picture descends from it. */
export function feedbackStep(services: ActivityServices): StepDefinition<FeedbackInput, Written> {
  const writers: Record<FeedbackSource, FeedbackWriter> = {
    dataset: columnWriter,
    shuffled: columnWriter,
    opt: optWriter(services),
    blip2: pictureWriter(services),
    vlm: pictureWriter(services),
    chat: chatWriter,
    rewrite: chatWriter,
  };
  const sourceOf = ({ manifest }: RunContext, { arm }: FeedbackInput) => feedbackOf(manifest, arm).source;
  return {
    step: 'feedback',
    version: 1,
    billable: (run, input) => FEEDBACK_KINDS[sourceOf(run, input)].billable,
    async prepare(run, input) {
      const prepared = await writers[sourceOf(run, input)].prepare(run, input);
      await refuseLeak(run, input, prepared.inputs);
      return prepared;
    },
    async execute(run, input, prepared, tools) {
      const source = sourceOf(run, input);
      const { text, instructions, ...values } = await writers[source].write(run, input, prepared, tools);
      if (FEEDBACK_KINDS[source].looks) {
        const { caption } = await run.files.readIndexed(input.item.offset);
        checkFeedback(text, { caption, instructions, rewrites: source === 'rewrite', usd: values.usd });
      }
      const feedback = await run.store.putArtifact(Buffer.from(text, 'utf8'), 'text/plain; charset=utf-8', prepared.inputs);
      return { outputs: { feedback }, values: { ...values, ...(feedback.bytes <= INLINE_TEXT_BYTES ? { text } : {}) } };
    },
    read: ({ outputs, values }) => {
      const text = values['text'] as string | undefined;
      return {
        feedback: { ref: outputs['feedback']!, ...(text === undefined ? {} : { text }) },
        usd: (values['usd'] as number | undefined) ?? 0,
      };
    },
  };
}

/** Rounds for which an arm has feedback on an item; `undefined`: for every round. */
export async function feedbackRounds(run: RunContext, item: IndexedItem, arm: string): Promise<number | undefined> {
  const plan = run.plan.arms.find((a) => a.name === arm);
  if (!plan) throw new InvalidInput(`there is no arm named ${arm} in the recipe`);
  if (plan.source === 'dataset') return columnTexts(run.manifest, item, arm).length;
  if (plan.source !== 'shuffled') return undefined;
  if (item.placebo === undefined) return 0;
  return plan.mirrors ? undefined : columnTexts(run.manifest, await run.files.readIndexed(item.placebo), arm).length;
}
