import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { s3Status } from './s3-errors.js';

/** Attempts of a request: with the pauses between them at most 13 s, 52 s where the server asks to slow down, and half of it on average. */
export const ATTEMPTS = 8;
const BASE_MS = 100;
/** 503 is S3's SlowDown, and MinIO's SlowDownRead and SlowDownWrite. */
const SLOW_DOWN_MS = 500;
const LONGEST_MS = 20_000;
/** Not there, and: the condition does not hold. Where the clock is minutes off, the SDK takes each of them for a reason to set it and ask again. */
const ANSWERS = [404, 412, 416];

/** Pause after some failed attempts, from 1: at random up to a bound that doubles, so that who failed together does not come back together. */
export function pauseMs(failed: number, slowDown = false): number {
  return Math.random() * Math.min((slowDown ? SLOW_DOWN_MS : BASE_MS) * 2 ** (failed - 1), LONGEST_MS);
}

type RetryStrategy = Extract<Exclude<S3ClientConfig['retryStrategy'], undefined>, { recordSuccess: unknown }>;
type Token = Awaited<ReturnType<RetryStrategy['refreshRetryTokenForRetry']>>;

const token = (failed: number, delay: number): Token => ({
  getRetryCount: () => failed,
  getRetryDelay: () => delay,
});

/**
 * Throttling, 5xx and cut connections are tried again, each call for itself. The SDK's own way shares 35 repeats among all calls of a
 * client: a server that throttles a hundred calls at once would fail most of them at their first 503.
 */
export const retryStrategy: RetryStrategy = {
  acquireInitialRetryToken: async () => token(0, 0),
  refreshRetryTokenForRetry: async (last, { errorType, error, retryAfterHint }) => {
    const failed = last.getRetryCount() + 1;
    const isAnswer = ANSWERS.includes(s3Status(error) ?? 0);
    if (isAnswer || failed >= ATTEMPTS || (errorType !== 'TRANSIENT' && errorType !== 'THROTTLING')) throw error as Error;
    const asked = Math.min((retryAfterHint?.getTime() ?? 0) - Date.now(), LONGEST_MS);
    return token(failed, Math.max(asked, pauseMs(failed, s3Status(error) === 503)));
  },
  recordSuccess: () => undefined,
};
