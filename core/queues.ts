import type { QueueRole } from './item-plan.js';

/** Task queues by role. Workflows and cheap steps run on `orchestrator`; models run on `gpu`, one worker a device. */
export const TASK_QUEUES: Record<QueueRole, string> = { orchestrator: 'orchestrator', cpu: 'cpu', gpu: 'gpu' };

/** Dynamic configuration of a Temporal server that serves the runs on one queue in turn. Fairness is off by default, and exact with one partition. */
export const FAIR_QUEUES: Record<string, boolean | number> = {
  'matching.enableFairness': true,
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
};
