import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { FEEDBACK_KINDS } from '../../core/item-plan.js';
import { findLeak } from '../../core/policy/leak.js';
import type { Digest } from '../../core/types.js';
import type { RunContext } from '../services.js';
import type { FeedbackInput } from '../types.js';
import { feedbackOf } from './column.js';

/**
 * A critic that is no oracle must not have seen the true picture: nothing that its feedback is made from may descend from
 * it. The lineage is read from the records of the steps that led here, not from what the caller says of them.
 * @throws InvalidInput naming what leaks
 */
export async function refuseLeak(run: RunContext, { item, at, arm, critique }: FeedbackInput, inputs: Digest[]): Promise<void> {
  if (inputs.length === 0 || run.plan.arms.find((a) => a.name === arm)!.oracle) return;
  const { trueImage, placebo } = await run.files.readIndexed(item.offset);
  // A critic that writes for another arm writes on another item's picture, and must not know that item's either.
  const lender = at.arm !== arm && placebo !== undefined ? await run.files.readIndexed(placebo) : null;
  const hidden = [trueImage, lender?.trueImage].filter((image) => image !== undefined);
  if (hidden.length === 0) return;
  const parents = new Map<Digest, Digest[]>();
  for (const key of critique.trail) {
    const record = await run.store.steps.readStep(key);
    if (!record) continue;
    for (const { digest, derivedFrom } of Object.values(record.outputs)) parents.set(digest, [...record.inputs, ...derivedFrom]);
  }
  const unknown = FEEDBACK_KINDS[feedbackOf(run.manifest, arm).source].looks ? inputs.filter((input) => !parents.has(input)) : [];
  if (unknown.length > 0)
    throw new StorageUnavailable(`no record says where ${unknown.join(', ')} comes from, so it is not shown to arm ${arm}`);
  for (const image of hidden) {
    const path = findLeak(inputs, parents, image.digest);
    if (!path) continue;
    throw new InvalidInput(
      `feedback of arm ${arm} on item ${item.id} would see the true picture (${path.join(' <- ')}), which only an oracle may: ` +
        'mark the arm `oracle: true`, or take its feedback from a source that does not know the picture',
    );
  }
}
