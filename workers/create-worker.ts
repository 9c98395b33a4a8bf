import { Worker, type NativeConnection, type WorkerDeploymentOptions, type WorkerOptions, type WorkerPlugin } from '@temporalio/worker';
import { TASK_QUEUES } from '../core/queues.js';
import { boundHeapGrowth } from './heap.js';
import { RefineLoopPlugin, type RefineLoopPluginOptions } from './plugin.js';
import { ensureSearchAttributes } from './search-attributes.js';

export interface CreateWorkerOptions extends RefineLoopPluginOptions {
  connection: NativeConnection;
  namespace: string;
  /** Version of an orchestrator in the worker deployment {@link DEPLOYMENT}; without it, it is of none and serves whatever is there. */
  buildId?: string;
  /** What steps in flight are given to end when the worker is stopped. Default {@link GRACE_SECONDS}; a training, which leaves a checkpoint, none. */
  graceSeconds?: number;
  /** Further ones, that act before the project's own. */
  plugins?: WorkerPlugin[];
}

/** Worker deployment that orchestrators with a build id are versions of. */
export const DEPLOYMENT = 'refineloop';

export const GRACE_SECONDS = 10;

/** Steps a worker takes on at once; of a device the plugin knows it. */
const SLOTS: Record<RefineLoopPluginOptions['role'], Partial<WorkerOptions>> = {
  orchestrator: { maxConcurrentActivityTaskExecutions: 40, maxConcurrentWorkflowTaskExecutions: 40, maxCachedWorkflows: 500 },
  cpu: { maxConcurrentActivityTaskExecutions: 4 },
  gpu: {},
  // One training has the machine.
  train: { maxConcurrentActivityTaskExecutions: 1 },
};

/** One of the project's own workers, by role. The same plugin makes it that others install. */
export async function createWorker(given: CreateWorkerOptions): Promise<Worker> {
  const { connection, namespace, buildId, graceSeconds = given.role === 'train' ? 0 : GRACE_SECONDS, plugins = [], ...options } = given;
  boundHeapGrowth();
  if (options.role === 'orchestrator') await ensureSearchAttributes(connection, namespace);
  return Worker.create({
    connection,
    namespace,
    taskQueue: TASK_QUEUES[options.role],
    plugins: [...plugins, new RefineLoopPlugin(options)],
    shutdownGraceTime: graceSeconds * 1000,
    ...SLOTS[options.role],
    ...(buildId === undefined ? {} : { workerDeploymentOptions: versioned(buildId) }),
  });
}

/** Each workflow says itself whether it stays on its version or moves (workflows/). */
export function versioned(buildId: string): WorkerDeploymentOptions {
  return { version: { deploymentName: DEPLOYMENT, buildId }, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' };
}
