import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowCancellationType,
  ChildWorkflowFailure,
  ParentClosePolicy,
  WorkflowIdReusePolicy,
  executeChild,
  isCancellation,
  setCurrentDetails,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import {
  bestCell,
  cellWorkflowId,
  isTrained,
  type CellOutcome,
  type TrainingCell,
  type TrainingRef,
  type TrainingResult,
  type TrainingState,
} from '../core/training.js';
import { orchestration } from './run-activities.js';
import { attributes } from './search-attributes.js';
import { trainCell, training } from './train-cell.js';
import { versioned } from './versioning.js';

export interface TrainModelInput {
  training: TrainingRef;
  cells: Array<Pick<TrainingCell, 'cell' | 'label'>>;
}

/** Fine-tunes a model in every setting of the grid, exports the one of the lowest validation loss, measures it and makes its pack. */
export async function trainModel({ training: ref, cells }: TrainModelInput): Promise<Pick<TrainingResult, 'chosen' | 'pack'>> {
  upsertSearchAttributes(attributes({ RefineRun: ref.trainingId, RefineStatus: 'running' }));
  await orchestration.setTrainingState({ training: ref, state: 'running' });
  try {
    setCurrentDetails(describe(cells.map(({ label }) => `| ${label} | runs |`)));
    const outcomes = await allOf(cells.map((cell) => outcomeOf(ref, cell)));
    setCurrentDetails(describe(outcomes.map((o) => `| ${o.label} | ${isTrained(o) ? o.validationLoss : `failed: ${o.failure.type}`} |`)));
    const chosen = bestCell(outcomes);
    if (!chosen) throw ApplicationFailure.nonRetryable(firstFailure(outcomes).message, firstFailure(outcomes).type);
    const exported = await training(`export ${chosen.label}`.slice(0, 120)).exportModel({ training: ref, chosen });
    const measured = await training(`measure ${chosen.label}`.slice(0, 120)).measureModel({ training: ref, chosen, model: exported.model });
    const result = await training('make the pack').recordPack({ training: ref, cells: outcomes, chosen, exported, measured });
    await finish(ref, 'completed');
    return { chosen: result.chosen, pack: result.pack };
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => finish(ref, 'cancelled'));
    else await finish(ref, 'failed', failureOf(error));
    throw error;
  }
}

// What changes in it stands behind `patched`.
versioned('AUTO_UPGRADE', trainModel);

/** A setting that comes to nothing, such as one that does not fit into memory, leaves the others be. */
async function outcomeOf(ref: TrainingRef, cell: TrainModelInput['cells'][number]): Promise<CellOutcome> {
  try {
    return await executeChild(trainCell, {
      workflowId: cellWorkflowId(ref.trainingId, cell.cell),
      workflowIdReusePolicy: WorkflowIdReusePolicy.TERMINATE_IF_RUNNING,
      staticSummary: `${ref.trainingId}: ${cell.label}`,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
      typedSearchAttributes: attributes({ RefineRun: ref.trainingId, RefineItem: cell.label, RefineStatus: 'running' }),
      args: [{ training: ref, cell }],
    });
  } catch (error) {
    // One that a person ended by itself is a setting that came to nothing.
    if (isCancellation(error) && CancellationScope.current().consideredCancelled) throw error;
    return { ...cell, failure: failureOf(error) };
  }
}

/** As Promise.all, but what is cancelled still has checkpoints to write. */
async function allOf<T>(promises: Promise<T>[]): Promise<T[]> {
  try {
    return await Promise.all(promises);
  } catch (error) {
    await Promise.allSettled(promises);
    throw error;
  }
}

async function finish(ref: TrainingRef, state: TrainingState, failure?: { type: string; message: string }): Promise<void> {
  await orchestration.setTrainingState({ training: ref, state, failure });
  upsertSearchAttributes(attributes({ RefineStatus: state }));
}

function firstFailure(outcomes: readonly CellOutcome[]): { type: string; message: string } {
  const failed = outcomes.find((outcome) => !isTrained(outcome));
  return failed && !isTrained(failed) ? failed.failure : { type: 'Unexpected', message: 'the grid is empty' };
}

/** Long messages, such as a traceback, are cut: they travel on. */
function failureOf(error: unknown): { type: string; message: string } {
  const cause = error instanceof ChildWorkflowFailure || error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ActivityFailure) return failureOf(cause);
  const type = cause instanceof ApplicationFailure ? (cause.type ?? 'Unexpected') : 'Unexpected';
  return { type, message: (cause instanceof Error ? cause.message : String(cause)).slice(0, 1_000) };
}

const describe = (rows: string[]): string => ['| setting | validation loss |', '|---|---|', ...rows].join('\n');
