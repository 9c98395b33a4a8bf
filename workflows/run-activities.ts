import { proxyActivities } from '@temporalio/workflow';
import type { OrchestratorActivities } from '../activities/types.js';

/**
 * Activities on the workflow's own queue. How often a failure is tried again is decided by the failure
 * itself (core/errors.ts), so the policy here sets no limit of its own but a far one.
 */
export const orchestration = proxyActivities<OrchestratorActivities>({
  startToCloseTimeout: '10 minutes',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', maximumAttempts: 20 },
});

/** Reads every row and picture of the dataset: long, and so with a heartbeat. */
export const indexing = proxyActivities<Pick<OrchestratorActivities, 'indexDataset' | 'restoreSkipped'>>({
  startToCloseTimeout: '12 hours',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', maximumAttempts: 20 },
});
