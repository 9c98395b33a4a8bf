import { RUN_ID_PATTERN } from './ids.js';
import type { QueueRole } from './item-plan.js';
import type { EmbedRequest } from './refine-loop.js';

/** What a worker is for: a run's steps, or trainings. */
export type WorkerRole = QueueRole | 'train';

/** Task queues by role. Workflows and cheap steps run on `orchestrator`; models run on `gpu`, one worker a device; trainings on `train`. */
export const TASK_QUEUES: Record<WorkerRole, string> = { orchestrator: 'orchestrator', cpu: 'cpu', gpu: 'gpu', train: 'train' };

export const WORKER_ROLES = Object.keys(TASK_QUEUES) as WorkerRole[];

/** What a run needs a worker on, and what a training does. */
export const QUEUES_OF = {
  run: [TASK_QUEUES.orchestrator, TASK_QUEUES.cpu, TASK_QUEUES.gpu],
  training: [TASK_QUEUES.orchestrator, TASK_QUEUES.train],
} as const;

/** What a device may be for, by the models that it keeps loaded. */
export const DEVICE_ROLES = ['generate', 'feedback', 'score'] as const;
export type DeviceRole = (typeof DEVICE_ROLES)[number];

/** A critic's own image encoder is loaded where the critic is, all others where scores are made. */
export const embedRole = (wanted: readonly EmbedRequest[]): DeviceRole =>
  wanted.every(({ subject }) => subject.role === 'critic') ? 'feedback' : 'score';

/** Queue of one worker, by its name. A step is first on the shared queue, where priority and fairness apply. */
export const gpuQueue = (name: string): string => `${TASK_QUEUES.gpu}-${name}`;

/** Queue of all workers that have a role and an execution provider. */
export const roleQueue = (role: DeviceRole, provider: string): string => gpuQueue(`${role}-${provider}`);

/** Names of workers become names of queues; those of roles are taken. */
export function isWorkerName(name: string): boolean {
  const isRoles = DEVICE_ROLES.some((role) => name === role || name.startsWith(`${role}-`));
  return RUN_ID_PATTERN.test(name) && !isRoles;
}

/** Which worker takes a run's model steps first, and how long they wait for it. No part of what the run is: results do not depend on it. */
export interface Placement {
  /** Names of workers; of feedback by arm. */
  generate?: string;
  score?: string;
  feedback?: Record<string, string>;
  /** How long a step waits on one worker's queue, or on that of a role, before it is offered to all. Default {@link QUEUE_WAIT_SECONDS}. */
  waitSeconds?: number;
}

export const QUEUE_WAIT_SECONDS = 60;

/** Dynamic configuration of a Temporal server that serves the runs on one queue in turn. Fairness is off by default, and exact with one partition. */
export const FAIR_QUEUES: Record<string, boolean | number> = {
  'matching.enableFairness': true,
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
};
