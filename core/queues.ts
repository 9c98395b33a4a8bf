import type { QueueRole } from './item-plan.js';

/** Task queues by role. Workflows and cheap steps run on `orchestrator`; models run on `gpu`, one worker a device. */
export const TASK_QUEUES: Record<QueueRole, string> = { orchestrator: 'orchestrator', cpu: 'cpu', gpu: 'gpu' };
