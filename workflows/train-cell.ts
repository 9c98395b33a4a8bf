import { proxyActivities, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import type { TrainingActivities } from '../activities/types.js';
import { TASK_QUEUES } from '../core/queues.js';
import type { TrainedCell, TrainingCell, TrainingRef } from '../core/training.js';
import { MOST_ATTEMPTS } from './run-activities.js';
import { attributes } from './search-attributes.js';
import { versioned } from './versioning.js';

export interface TrainCellInput {
  training: TrainingRef;
  cell: Pick<TrainingCell, 'cell' | 'label'>;
}

/** Activities of the training program, by their summary: days long, each with a heartbeat, and over only when the program has stopped. */
export const training = (summary: string): TrainingActivities =>
  proxyActivities<TrainingActivities>({
    taskQueue: TASK_QUEUES.train,
    summary,
    startToCloseTimeout: '90 days',
    heartbeatTimeout: '15 seconds',
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '1 second', maximumInterval: '1 minute', maximumAttempts: MOST_ATTEMPTS },
  });

/** One setting of a training's grid. */
export async function trainCell({ training: ref, cell }: TrainCellInput): Promise<TrainedCell> {
  upsertSearchAttributes(attributes({ RefineRun: ref.trainingId, RefineItem: cell.label, RefineStatus: 'running' }));
  setCurrentDetails(`Fine-tunes with ${cell.label}. Step and losses are in the pending activity's heartbeat.`);
  const trained = await training(`fine-tune ${cell.label}`.slice(0, 120)).fineTune({ training: ref, cell: cell.cell });
  const { steps, bestStep, trainLoss, validationLoss } = trained;
  const rows = Object.entries({ steps, bestStep, trainLoss, validationLoss }).map(([name, value]) => `| ${name} | ${value} |`);
  setCurrentDetails([`${cell.label}`, '', '| measure | value |', '|---|---|', ...rows].join('\n'));
  upsertSearchAttributes(attributes({ RefineStatus: 'completed' }));
  return trained;
}

// As long as a training, which moves with every deployment as runs do; what changes in it stands behind `patched`.
versioned('AUTO_UPGRADE', trainCell);
