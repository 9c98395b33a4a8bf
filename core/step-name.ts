import type { StepAt, StepName } from './types.js';

/**
 * Names a step within an item's loop: the way to find its recalled result.
 * @param subject tells embeddings of one round apart; @param lender id of the other item whose step it is, for a borrowed feedback
 */
export function stepName(step: StepName, at: StepAt, subject = '', lender: string | null = null): string {
  const draw = at.candidate === undefined ? `${at.draw}` : `${at.draw}c${at.candidate}`;
  return `${lender === null ? '' : `${lender}:`}${at.arm ?? ''}/${at.round}/${draw}/${step}${subject}`;
}
