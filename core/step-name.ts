import type { StepAt, StepName } from './types.js';

/** Names a step within its item: the way to find its recalled result. `subject` tells embeddings of one round apart. */
export function stepName(step: StepName, at: StepAt, subject = ''): string {
  return `${at.arm ?? ''}/${at.round}/${at.draw}/${step}${subject}`;
}
