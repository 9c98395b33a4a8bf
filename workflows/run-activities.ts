import { ActivityFailure, ApplicationFailure, isCancellation, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { OrchestratorActivities } from '../activities/types.js';

/** As many as core/errors.ts allows at most: the limit for failures that no code of ours sees, such as a worker that is gone. */
export const MOST_ATTEMPTS = 64;

/**
 * Activities on the workflow's own queue. How often a failure is tried again is decided by the failure
 * itself (core/errors.ts), so the policy here sets no limit of its own but a far one.
 */
export const orchestration = proxyActivities<OrchestratorActivities>({
  startToCloseTimeout: '10 minutes',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', maximumAttempts: MOST_ATTEMPTS },
});

/** Reads every row and picture of the dataset: long, and so with a heartbeat. */
export const indexing = proxyActivities<Pick<OrchestratorActivities, 'indexDataset' | 'restoreSkipped'>>({
  startToCloseTimeout: '12 hours',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', maximumAttempts: MOST_ATTEMPTS },
});

/** A workflow task that lasts longer must be renewed. */
const LOCAL_TIMEOUT = '5 seconds';

/**
 * Carries something cheap out in this worker, inside the workflow task: a fraction of the events and of the server's work. What does not
 * succeed at once goes to a queue as `remote`, where a person sees it wait, with its attempts and its last failure.
 */
export async function cheaply<A extends object, T>(remote: A, call: (activities: A) => Promise<T>, summary?: string): Promise<T> {
  const local = proxyLocalActivities({
    startToCloseTimeout: LOCAL_TIMEOUT,
    retry: { maximumAttempts: 1 },
    ...(summary === undefined ? {} : { summary }),
  });
  try {
    return await call(local as unknown as A);
  } catch (error) {
    if (isCancellation(error) || isFinal(error)) throw error;
    return call(remote);
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.nonRetryable === true;
}
