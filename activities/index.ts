import { ApplicationFailure, Context, heartbeat } from '@temporalio/activity';
import {
  failureCode,
  outputFault,
  policyOf,
  ProviderThrottled,
  ProviderUnavailable,
  retryDelayMs,
  TrainerCrashed,
} from '../core/errors.js';
import { guardPayload } from '../core/payload-guard.js';
import { embedRole, type DeviceRole } from '../core/queues.js';
import type { TrainingRef } from '../core/training.js';
import type { EmbedResult, StepMeta } from '../core/types.js';
import { embedStep, type EmbedOneInput } from './embed.js';
import { feedbackStep } from './feedback/index.js';
import { generateStep, LeftHalfMade } from './generate.js';
import { indexDataset, readIndexPage, restoreSkipped } from './index-dataset.js';
import { recallItem } from './recall.js';
import { recordItem } from './record-item.js';
import { finishRun, reconcileItems, setRunState } from './run-state.js';
import { runStep, type StepDefinition, type StepTools } from './run-step.js';
import { scoreStep } from './score.js';
import type { ActivityServices, TrainingContext } from './services.js';
import { exportModel, measureModel, recordPack } from './training/finish-model.js';
import { fineTune } from './training/fine-tune.js';
import { setTrainingState } from './training/training-state.js';
import type { TrainingTools } from './training/work-folder.js';
import type {
  FailureCounts,
  NotHere,
  OrchestratorActivities,
  StepActivities,
  StepFailureDetails,
  StepInput,
  TrainingActivities,
} from './types.js';

export { BUCKETS, stepMetrics, type StepMetrics } from './metrics.js';
export { ActivityServices, type ServicesOptions } from './services.js';
export type * from './types.js';

const HEARTBEAT_MS = 2_000;

/** All activities of one worker process, ready to be registered. */
export function createActivities(services: ActivityServices): OrchestratorActivities & StepActivities & TrainingActivities {
  const step = async <Input, Result>(
    definition: StepDefinition<Input, Result>,
    input: Input,
    { item, at, earlier = 0, failed }: StepInput,
  ): Promise<Result & StepMeta> => {
    const { info, cancellationSignal } = Context.current();
    const place = { item, at, attempt: earlier + info.attempt, device: services.device };
    const result = await beating(failed, (beat) => {
      const work = async () => runStep(definition, await services.openRun(item.run), input, place, tools(beat));
      return services.permits.take(work, cancellationSignal);
    });
    return services.host && !result.cached ? { ...result, device: services.device } : result;
  };
  /** A step of a model. A device that is not for such gives it back at once: nothing was tried and nothing has failed. */
  const modelStep = <Input extends StepInput, Result>(role: (input: Input) => DeviceRole, run: (input: Input) => Promise<Result>) =>
    activity(async (input: Input): Promise<Result | NotHere> => {
      const { manifest } = await beating(input.failed, () => services.openRun(input.item.run));
      const { provider } = manifest.runtime;
      if (services.isFor(role(input), provider)) return run(input);
      const attempts = (input.earlier ?? 0) + Context.current().info.attempt - 1;
      return { notHere: role(input), provider, attempts, failed: failedBefore(input) };
    });
  const ofTraining = <Input extends { training: TrainingRef }, Result>(
    run: (services: ActivityServices, training: TrainingContext, input: Input, tools: TrainingTools) => Promise<Result>,
  ) =>
    activity((input: Input) =>
      beating({}, async (beat) => run(services, await services.openTraining(input.training), input, trainingTools(beat))),
    );
  const generate = generateStep(services);
  const embed = embedStep(services);
  const feedback = feedbackStep(services);

  return {
    indexDataset: activity(({ run }) => beating({}, async (beat) => indexDataset(await services.openRun(run), (done) => beat({ done })))),
    restoreSkipped: activity(({ run, keys }) => beating({}, async () => restoreSkipped(await services.openRun(run), keys))),
    readIndexPage: activity(async (input) => readIndexPage(await services.openRun(input.run), input)),
    recallItem: activity(async ({ item }) => recallItem(services, await services.openRun(item.run), item)),
    recordItem: activity(async (input) => recordItem(services, await services.openRun(input.item.run), input)),
    reconcileItems: activity(async (input) => reconcileItems(Context.current().client, await services.openRun(input.run), input)),
    setRunState: activity(async ({ run, state }) => setRunState(await services.openRun(run), state)),
    finishRun: activity(async ({ run, ended }) => finishRun(await services.openRun(run), ended)),
    setTrainingState: activity(async (input) => setTrainingState(await services.openTraining(input.training), input)),

    generateImage: modelStep(
      () => 'generate',
      (input) => step(generate, input, input),
    ),
    embed: modelStep(
      ({ wanted }) => embedRole(wanted),
      async (input) => {
        const results: EmbedResult[] = [];
        for (const { subject, encoders } of input.wanted) {
          const result: EmbedResult = { embeddings: {}, meta: [] };
          for (const encoder of encoders) {
            const one: EmbedOneInput = { item: input.item, subject, encoder };
            const { embedding, ...meta } = await step(embed, one, input);
            result.embeddings[encoder] = embedding;
            result.meta.push(meta);
          }
          results.push(result);
        }
        return { results };
      },
    ),
    writeFeedback: modelStep(
      () => 'feedback',
      (input) => step(feedback, input, input),
    ),
    scoreImage: activity((input) => step(scoreStep, input, input)),

    fineTune: ofTraining(fineTune),
    exportModel: ofTraining(exportModel),
    measureModel: ofTraining(measureModel),
    recordPack: ofTraining(recordPack),
  };
}

/**
 * Heartbeats while `work` waits for its turn or runs; a call that hangs is the host's watchdog's business. They carry on what failed in earlier attempts,
 * on this queue or, as asked, on others.
 */
async function beating<T>(asked: FailureCounts | undefined, work: (beat: Beat) => Promise<T>): Promise<T> {
  const failed = failedBefore({ failed: asked });
  let last: BeatDetails = {};
  const beat: Beat = (progress = last) => {
    last = progress;
    heartbeat({ ...last, failed } satisfies BeatDetails);
  };
  const timer = setInterval(() => beat(), HEARTBEAT_MS);
  try {
    return await work(beat);
  } finally {
    clearInterval(timer);
  }
}

interface BeatDetails {
  done?: number;
  total?: number;
  loss?: number | null;
  validationLoss?: number | null;
  failed?: FailureCounts;
}
type Beat = (progress?: BeatDetails) => void;

/** Temporal keeps the last heartbeat's details for the next attempt on the same queue; where it lost them, the count begins anew. */
function failedBefore({ failed = {} }: Pick<StepInput, 'failed'>): FailureCounts {
  return (Context.current().info.heartbeatDetails as BeatDetails | undefined)?.failed ?? failed;
}

/** How often what failed so has failed, this time included. */
function failedWith(error: unknown, asked: FailureCounts | undefined): FailureCounts {
  const before = error instanceof TrainerCrashed && error.gotOn ? {} : failedBefore({ failed: asked });
  return { ...before, [failureCode(error)]: (before[failureCode(error)] ?? 0) + 1 };
}

function tools(beat: Beat): Pick<StepTools, 'signal' | 'progress'> {
  return { signal: Context.current().cancellationSignal, progress: (done, total) => beat({ done, total }) };
}

function trainingTools(beat: Beat): TrainingTools {
  const { info, cancellationSignal, log } = Context.current();
  return {
    signal: cancellationSignal,
    attempt: info.attempt,
    isLast: (error) => failedWith(error, {})[failureCode(error)]! >= policyOf(error).maxAttempts,
    progress: (done, total, loss, validationLoss) => beat({ done, total, loss, validationLoss }),
    log: (line) => void log.info(line),
  };
}

/**
 * What every activity has in common: its result is small enough to travel, and a failure carries its type, its attempt
 * and whether and when to try again, by the one table in core/errors.ts.
 */
function activity<Input, Result>(run: (input: Input) => Promise<Result>): (input: Input) => Promise<Result> {
  return async (input) => {
    const { info, cancellationSignal } = Context.current();
    try {
      return guardPayload(`result of ${info.activityType}`, await run(input));
    } catch (error) {
      if (cancellationSignal.aborted) throw cancellationSignal.reason;
      const { earlier = 0, failed } = input as Partial<StepInput>;
      const counts = failedWith(error, failed);
      heartbeat({ failed: counts } satisfies BeatDetails);
      throw asApplicationFailure(error, earlier + info.attempt, counts);
    }
  };
}

function asApplicationFailure(error: unknown, attempt: number, failed: FailureCounts): ApplicationFailure {
  const code = failureCode(error);
  const policy = policyOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const times = failed[code]!;
  const delayMs = retryDelayMs(policy, times);
  const isLast = times >= policy.maxAttempts;
  // The queue that a step came from cannot send it elsewhere: the workflow does.
  const goesOnAt = error instanceof LeftHalfMade && !isLast ? error.worker : null;
  const asked = error instanceof ProviderThrottled || error instanceof ProviderUnavailable ? error.retryAfterSeconds : undefined;
  return ApplicationFailure.create({
    message,
    type: code,
    nonRetryable: isLast || goesOnAt !== null,
    details: [attempt, goesOnAt, failed, outputFault(error) ?? null] satisfies StepFailureDetails,
    nextRetryDelay: asked === undefined ? delayMs : asked * 1000,
    cause: error instanceof Error ? error : undefined,
  });
}
