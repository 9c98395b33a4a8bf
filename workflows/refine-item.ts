import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  upsertSearchAttributes,
  workflowInfo,
  type ActivityOptions,
} from '@temporalio/workflow';
import type {
  DerivedOutcome,
  FailedStep,
  ItemDone,
  ItemRef,
  NotHere,
  RecallItemResult,
  StepFailureDetails,
  StepActivities,
  StepInput,
} from '../activities/types.js';
import { FEEDBACK_KINDS, gainBy, type ItemPlan, type QueueRole } from '../core/item-plan.js';
import { failurePolicy, isFailureCode } from '../core/errors.js';
import { guardPayload, jsonBytes } from '../core/payload-guard.js';
import { embedRole, TASK_QUEUES, type DeviceRole, type Placement } from '../core/queues.js';
import { REDRAW_STRIDE, refineLoop, StepFailed, type Steps } from '../core/refine-loop.js';
import { stepName } from '../core/step-name.js';
import {
  MAX_PAYLOAD_BYTES,
  type ArtifactRef,
  type EmbedResult,
  type ItemOutcome,
  type RoundOutcome,
  type StepAt,
  type StepFailure,
  type StepMeta,
  type StepName,
} from '../core/types.js';
import { DeviceQueues, type Destination } from './device-queues.js';
import { itemDoneSignal } from './messages.js';
import { cheaply, MOST_ATTEMPTS, orchestration } from './run-activities.js';
import { versioned } from './versioning.js';
import { attributes, type AttributeValues } from './search-attributes.js';

export interface RefineItemInput {
  item: ItemRef;
  /** Workflow id of the partition that waits for word; `null` when the item is run on its own. */
  partition: string | null;
  links: string | null;
  placement?: Placement;
}

/**
 * One item of a run: recalls what is recorded, carries the rest of the refine loop out, writes the item's record,
 * tells its partition. Fails after its record is written where a step failed for good.
 */
export async function refineItem(input: RefineItemInput): Promise<ItemDone> {
  const { item } = input;
  let outcome: ItemOutcome;
  let gains: AttributeValues = {};
  const devices = new DeviceQueues(input.placement);
  const failures: Record<string, FailedStep> = {};
  try {
    const recalled = await cheaply(orchestration, (a) => a.recallItem({ item }));
    outcome = await refineLoop(recalled.plan, recalled.input, new ItemSteps(input, recalled, item, failures, devices));
    gains = gainAttributes(recalled.plan, outcome);
  } catch (error) {
    if (!isCancellation(error)) outcome = failedOutcome(failureOf(error, 'load', { arm: null, round: 0, draw: 0 }));
    else outcome = { state: 'cancelled', arms: [], ...NOTHING_SPENT };
  }
  const done = await CancellationScope.nonCancellable(async () => {
    const written = await cheaply(orchestration, (a) => a.recordItem({ item, outcome: small(outcome, failures) }));
    if (input.partition !== null) {
      // A partition that is gone needs no word: the record is the truth.
      await getExternalWorkflowHandle(input.partition)
        .signal(itemDoneSignal, written)
        .catch(() => undefined);
    }
    return written;
  });
  const ran = devices.ran.size === 0 ? {} : { RefineDevice: [...devices.ran].sort() };
  upsertSearchAttributes(attributes({ RefineStatus: outcome.state, ...gains, ...ran }));
  if (outcome.failure) throw ApplicationFailure.nonRetryable(outcome.failure.message, outcome.failure.type, outcome.failure);
  return done;
}

// Begun and ended on one version of the workers.
versioned('PINNED', refineItem);

/** An outcome of many rounds is left in the records of its steps, where the activity reads it. */
function small(outcome: ItemOutcome, failures: Record<string, FailedStep>): ItemOutcome | DerivedOutcome {
  if (outcome.arms.length === 0 || jsonBytes(outcome) < MAX_PAYLOAD_BYTES / 2) return outcome;
  return { derived: true, failures, steps: outcome.steps, spent: outcome.spent };
}

const NOTHING_SPENT = { steps: { executed: 0, cached: 0, retried: 0 }, spent: { images: 0, seconds: 0, usd: 0 } };

function failedOutcome(failure: StepFailure): ItemOutcome {
  return { state: 'failed', arms: [], ...NOTHING_SPENT, failure };
}

/** Carries steps out: from what was recalled, else as an activity on the step's queue. */
class ItemSteps implements Steps {
  private readonly lines: string[] = [];

  constructor(
    private readonly input: RefineItemInput,
    private readonly recalled: RecallItemResult,
    /** Whose steps these are: the workflow's own item, or the one that its placebos borrow from. */
    private readonly item: ItemRef,
    /** Steps that failed for good, by name; filled as they do. */
    private readonly failures: Record<string, FailedStep>,
    private readonly devices: DeviceQueues,
  ) {}

  partner(): Steps {
    const { partner } = this.recalled;
    return partner === null ? this : new ItemSteps(this.input, this.recalled, partner, this.failures, this.devices);
  }

  generate: Steps['generate'] = (at, prompt, start) =>
    this.once('generate', at, 'generate', 'image', (a) => a.generateImage({ item: this.item, at, prompt, ...(start ? { start } : {}) }));

  embed: Steps['embed'] = async (at, wanted) => {
    const named = wanted.map((request) => ({ request, name: this.nameOf('embed', at, `:${request.subject.role}`) }));
    const missing = named.filter(({ name }) => !this.recalled.recalled[name]);
    const made = new Map<string, EmbedResult>();
    if (missing.length > 0) {
      const requests = missing.map(({ request }) => request);
      const names = missing.map(({ name }) => name);
      const roles = requests.map(({ subject }) => subject.role).join(', ');
      const { results } = await this.run('embed', at, names, embedRole(requests), roles, (a) =>
        a.embed({ item: this.item, at, wanted: requests }),
      );
      names.forEach((name, i) => made.set(name, results[i]!));
      this.note(results.flatMap(({ meta }) => meta));
    }
    return named.map(({ name }) => made.get(name) ?? (this.recalled.recalled[name] as EmbedResult));
  };

  feedback: Steps['feedback'] = (at, arm, critique) =>
    this.once('feedback', at, this.feedbackPlace(arm), '', (a) => a.writeFeedback({ item: this.item, at, arm, critique }));

  score: Steps['score'] = (at, subject) =>
    this.once('score', at, this.recalled.plan.scoreQueue, '', (a) => a.scoreImage({ item: this.item, at, subject }));

  private feedbackPlace(arm: string): Place {
    const { queue } = FEEDBACK_KINDS[this.recalled.plan.arms.find((a) => a.name === arm)!.source!];
    return queue === 'gpu' ? 'feedback' : queue;
  }

  progress(at: StepAt, round: RoundOutcome): void {
    if (this.item !== this.input.item) return; // The other item shows its own.
    const { plan, input } = this.recalled;
    const scores = Object.entries(round.scores).map(([name, value]) => `${name} ${value.toFixed(3)}`);
    this.lines.push(`| ${at.arm ?? 'all'} | ${at.round}${candidateText(at)} | ${this.link(round.image)} | ${scores.join(', ')} |`);
    const head = `True image: ${input.trueImage ? this.link(input.trueImage) : 'none'}\n\n| arm | round | picture | scores |\n|---|---|---|---|`;
    setCurrentDetails([head, ...this.lines.slice(-40)].join('\n'));
    if (at.arm === null) {
      upsertSearchAttributes(attributes({ RefineRound: 0, RefineScore: round.scores[plan.primary] ?? round.scores[plan.select]! }));
    }
  }

  private link(image: ArtifactRef): string {
    const name = image.digest.slice(7, 19);
    return this.input.links === null ? `\`${name}\`` : `[${name}](${this.input.links}/artifacts/${image.digest})`;
  }

  private nameOf(step: StepName, at: StepAt, subject = ''): string {
    return stepName(step, at, subject, this.item === this.input.item ? null : this.item.id);
  }

  /** A step with one result: the recalled one, or that of its activity. */
  private async once<T extends StepMeta>(
    step: StepName,
    at: StepAt,
    place: Place,
    what: string,
    call: (a: StepActivities) => Promise<T | NotHere>,
  ): Promise<T> {
    const name = this.nameOf(step, at);
    const recalled = this.recalled.recalled[name] as T | undefined;
    if (recalled) return recalled;
    const result = await this.run(step, at, [name], place, what, call);
    this.note([result]);
    return result;
  }

  private note(done: StepMeta[]): void {
    for (const { device } of done) if (device !== undefined) this.devices.ran.add(device);
  }

  /** @param names of what the activity does, under which its failure is remembered */
  private async run<T extends object>(
    step: StepName,
    at: StepAt,
    names: string[],
    place: Place,
    what: string,
    call: (a: StepActivities) => Promise<T | NotHere>,
  ): Promise<T> {
    const round = at.arm === null ? '' : ` ${at.arm} round ${at.round}${candidateText(at)}`;
    const again = (at.draw >= REDRAW_STRIDE ? `, draw ${at.draw}` : '') + (this.item === this.input.item ? '' : `, of ${this.item.id}`);
    const title = `${step}${what === '' ? '' : ` ${what}`}${round}${again}`;
    const attempt = ({ queue, waitSeconds, earlier, failed, why }: Destination) => {
      const options = activityOptions(queue, why === '' ? title : `${title}, ${why}`);
      // One that waits for a worker is tried again by the workflow, which may send it elsewhere.
      const waits = waitSeconds === null ? {} : { scheduleToStartTimeout: waitSeconds * 1000, retry: { maximumAttempts: 1 } };
      return call(guarded(proxyActivities<StepActivities>({ ...options, ...waits }), earlier === 0 ? {} : { earlier, failed }));
    };
    try {
      switch (place) {
        case 'orchestrator': {
          // Its own worker does at once what needs no device.
          const options = activityOptions(workflowInfo().taskQueue, title);
          const here = proxyActivities<StepActivities>(options);
          return (await cheaply(here, (a) => call(guarded(a)), options.summary)) as T;
        }
        case 'cpu':
          return (await attempt({ queue: TASK_QUEUES.cpu, waitSeconds: null, earlier: 0, failed: {}, why: '' })) as T;
        default:
          return await this.devices.carryOut(place, at.arm, attempt);
      }
    } catch (error) {
      if (isCancellation(error)) throw error;
      const failure = failureOf(error, step, at);
      const redraw = isFailureCode(failure.type) && failurePolicy(failure.type).redraw;
      for (const name of names) this.failures[name] = { failure, redraw };
      throw new StepFailed(failure, redraw);
    }
  }
}

const candidateText = ({ candidate }: StepAt): string => (candidate === undefined ? '' : `, candidate ${candidate + 1}`);

/** Where a step belongs: on a queue of processors, or on a device with a role. */
type Place = Exclude<QueueRole, 'gpu'> | DeviceRole;

function activityOptions(taskQueue: string, summary: string) {
  return {
    taskQueue,
    summary: summary.slice(0, 120),
    startToCloseTimeout: '1 hour',
    heartbeatTimeout: '10 seconds',
    // The failure itself says when to try again and when to stop: core/errors.ts.
    retry: { initialInterval: '1 second', maximumInterval: '1 minute', maximumAttempts: MOST_ATTEMPTS },
  } satisfies ActivityOptions;
}

/**
 * Refuses an oversize input here, where it fails the step, and not at the server, where it would be tried for ever.
 * @param earlier attempts on other queues, which the step counts on from
 */
function guarded(activities: StepActivities, earlier: Pick<StepInput, 'earlier' | 'failed'> = {}): StepActivities {
  return new Proxy(activities, {
    get: (target, name: keyof StepActivities) => (input: StepInput) =>
      target[name](guardPayload(`input of ${name}`, { ...input, ...earlier }) as never),
  });
}

function failureOf(error: unknown, step: StepFailure['step'], at: StepAt): StepFailure {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  const [attempt = 1, , , reason] = ((cause instanceof ApplicationFailure && cause.details) || []) as Partial<StepFailureDetails>;
  const type = cause instanceof ApplicationFailure ? (cause.type ?? 'Unexpected') : cause instanceof Error ? cause.name : 'Unexpected';
  const message = cause instanceof Error ? cause.message : String(cause);
  return { type, ...(reason ? { reason } : {}), message: message.slice(0, 2_000), step, arm: at.arm, round: at.round, attempt };
}

/** How far the arms with feedback came by the primary score, for the Temporal UI: the one that gained most. */
function gainAttributes(plan: ItemPlan, outcome: ItemOutcome): AttributeValues {
  const feedbackArms = outcome.arms.filter((arm) =>
    plan.arms.some((p) => p.name === arm.name && p.source !== null && p.source !== 'shuffled'),
  );
  const ends = feedbackArms.map(({ rounds }) => {
    const [first, last] = [rounds[0]!, rounds.at(-1)!];
    const metric = first.scores[plan.primary] === undefined ? plan.select : plan.primary;
    const score = last.scores[metric]!;
    return { round: rounds.length - 1, score, gain: gainBy(metric, score, first.scores[metric]!) };
  });
  if (ends.length === 0) return {};
  const best = ends.reduce((a, b) => (b.gain > a.gain ? b : a));
  return { RefineRound: best.round, RefineScore: best.score, RefineGain: best.gain };
}
