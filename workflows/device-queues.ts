import { ActivityFailure, ApplicationFailure, TimeoutFailure, isCancellation, sleep } from '@temporalio/workflow';
import type { FailureCounts, NotHere, StepFailureDetails } from '../activities/types.js';
import { failurePolicy, isFailureCode, retryDelayMs } from '../core/errors.js';
import { QUEUE_WAIT_SECONDS, TASK_QUEUES, gpuQueue, roleQueue, type DeviceRole, type Placement } from '../core/queues.js';
import { MOST_ATTEMPTS } from './run-activities.js';

/** Where a step is sent for its next attempt. */
export interface Destination {
  queue: string;
  /** How long it waits there for a worker; `null`: for ever, and what fails there is tried again there. */
  waitSeconds: number | null;
  /** Attempts that were made elsewhere. */
  earlier: number;
  /** Of those, the ones that failed. */
  failed: FailureCounts;
  /** For people: why it is not simply on the shared queue. */
  why: string;
}

const SHARED = TASK_QUEUES.gpu;
/** A queue that nobody serves is waited at for longer each time, up to this. */
const LONGEST_WAIT_SECONDS = 16 * 60;

/**
 * Where an item's model steps go: to the shared queue, unless the recipe pins them to a worker. A device that is not for such a step gives it
 * back, and it goes on to the queue of its role and execution provider; one that lost a picture half-way gets it once more, because it has the models. Whoever does
 * not come within the wait loses the step to the shared queue: it waits for a worker as long as it takes, and never fails for want of one.
 */
export class DeviceQueues {
  /** Devices that steps of the item ran on. */
  readonly ran = new Set<string>();
  /** Where steps of a kind went last, which is where the next ones go. */
  private readonly homes = new Map<string, string>();

  constructor(private readonly placement: Placement = {}) {}

  /** @param attempt schedules the step once; on a queue with a wait as one attempt, so that attempts are counted here over all queues */
  async carryOut<T extends object>(role: DeviceRole, arm: string | null, attempt: (to: Destination) => Promise<T | NotHere>): Promise<T> {
    const kind = role === 'feedback' ? `${role} ${arm}` : role;
    let wait = this.placement.waitSeconds ?? QUEUE_WAIT_SECONDS;
    let [queue, why, earlier, failed] = [this.home(role, kind, arm), '', 0, {} as FailureCounts];
    for (;;) {
      const waitSeconds = queue === SHARED ? null : wait;
      try {
        const result = await attempt({ queue, waitSeconds, earlier, failed, why });
        if (!('notHere' in result)) return result;
        // Histories of before have no counts.
        [earlier, failed] = [result.attempts ?? earlier, result.failed ?? failed];
        const where = roleQueue(role, result.provider);
        if (queue === where) await sleep(wait * 1000); // Somebody serves it who is not for it.
        this.homes.set(kind, (queue = where));
        why = `waits for a worker with role ${role} on ${result.provider}`;
      } catch (error) {
        if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
        if (timedOut(error, 'SCHEDULE_TO_START')) {
          why = `${queue} did not take it`;
          if (queue === this.home(role, kind, arm)) this.homes.set(kind, SHARED);
          wait = Math.min(2 * wait, LONGEST_WAIT_SECONDS);
          queue = this.home(role, kind, arm);
          continue;
        }
        const [attempts = earlier + 1, named, counts = failed] = detailsOf(error);
        const goesOnAt = named ?? undefined;
        if (goesOnAt === undefined && (queue === SHARED || attempts >= MOST_ATTEMPTS || isFinal(error))) throw error;
        // Its worker is dead or cut off, and to see that has taken long enough: it is not waited for on top.
        if (timedOut(error, 'HEARTBEAT') && queue === this.home(role, kind, arm)) this.homes.set(kind, SHARED);
        queue = goesOnAt === undefined ? this.home(role, kind, arm) : gpuQueue(goesOnAt);
        why = goesOnAt === undefined ? `attempt ${attempts + 1}` : `goes on where it was, attempt ${attempts + 1}`;
        [earlier, failed] = [attempts, counts];
        await sleep(delayMs(error, failed));
      }
    }
  }

  private home(role: DeviceRole, kind: string, arm: string | null): string {
    const pin = role === 'feedback' ? this.placement.feedback?.[arm ?? ''] : this.placement[role];
    return this.homes.get(kind) ?? (pin === undefined ? SHARED : gpuQueue(pin));
  }
}

const timedOut = ({ cause }: ActivityFailure, what: 'SCHEDULE_TO_START' | 'HEARTBEAT'): boolean =>
  cause instanceof TimeoutFailure && cause.timeoutType === what;
const isFinal = ({ cause }: ActivityFailure): boolean => cause instanceof ApplicationFailure && cause.nonRetryable === true;

/** Empty for what no code of ours has thrown: a worker that is gone, or that was stopped. */
function detailsOf({ cause }: ActivityFailure): Partial<StepFailureDetails> {
  return cause instanceof ApplicationFailure && cause.details ? (cause.details as Partial<StepFailureDetails>) : [];
}

function delayMs({ cause }: ActivityFailure, failed: FailureCounts): number {
  const type = cause instanceof ApplicationFailure ? cause.type : undefined;
  const code = isFailureCode(type) ? type : 'Unexpected';
  return retryDelayMs(failurePolicy(code), failed[code] ?? 1);
}
