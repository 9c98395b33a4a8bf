import type { TrainingContext } from '../services.js';
import type { SetTrainingStateInput } from '../types.js';

/** Writes down where the training stands, for those who read the store without a server. */
export async function setTrainingState({ files }: TrainingContext, { state, failure }: SetTrainingStateInput): Promise<void> {
  const before = await files.readState();
  const now = new Date().toISOString();
  const isOver = ['completed', 'cancelled', 'failed'].includes(state);
  // One that was cancelled or failed and is started again begins anew.
  const startedAt = before && before.finishedAt === null ? before.startedAt : isOver ? (before?.startedAt ?? now) : now;
  await files.writeState({ state, startedAt, finishedAt: isOver ? now : null, ...(failure ? { failure } : {}) });
}
