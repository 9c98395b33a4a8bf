import { setTimeout as sleep } from 'node:timers/promises';
import { failurePolicy, retryDelayMs, RefineError, type StorageUnavailable } from '../../core/errors.js';

/**
 * Tries again while the store is away, as often as the activity would be: what the program has made lies in a folder that goes with the activity's attempt.
 * Throws what else went wrong, and the signal's reason.
 */
export async function whileStoreIsAway<T>(signal: AbortSignal, log: (line: string) => void, write: () => Promise<T>): Promise<T> {
  const policy = failurePolicy('StorageUnavailable');
  for (let attempt = 1; ; attempt++) {
    try {
      return await write();
    } catch (error) {
      const isAway = RefineError.is(error) && error.code === 'StorageUnavailable' && !(error as StorageUnavailable).lasting;
      if (!isAway || attempt === policy.maxAttempts) throw error;
      signal.throwIfAborted();
      log(`the result waits for the store: ${error.message}`);
      await sleep(retryDelayMs(policy, attempt), undefined, { signal });
    }
  }
}
