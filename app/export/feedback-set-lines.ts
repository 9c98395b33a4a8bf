import type { FeedbackSetDocument } from '../../engine/datasets/write-feedback-set.js';

/** What a person should know of a feedback set, a line each. `n`: items that were asked for. */
export function feedbackSetLines({ counts, sample, texts }: FeedbackSetDocument, n: number | null | undefined): string[] {
  return [
    `${counts.train} rows to train on and ${counts.validation} to validate with, of ${sample.n} items`,
    `${texts.distinct} different texts; ${(100 * texts.sharedShare).toFixed(0)}% of the rows have one that is said of several items`,
    ...(typeof n === 'number' && sample.n < n ? [`${n} items were asked for: no more can be used`] : []),
  ];
}

/** What was left out of it, a line each. */
export const leftOutLines = (left: ReadonlyArray<{ id: string; reason: string }>): string[] =>
  left.map(({ id, reason }) => `left out: ${id}: ${reason}`);
