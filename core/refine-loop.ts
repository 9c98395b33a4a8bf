import type { ArmPlan, ItemPlan } from './item-plan.js';
import { refiners } from './policy/refine.js';
import { bestRound, gated, stopReason } from './policy/stop.js';
import type {
  ArmOutcome,
  ArmState,
  ArtifactRef,
  EmbedResult,
  FeedbackResult,
  GenerateResult,
  ItemOutcome,
  ItemState,
  PromptPart,
  RoundOutcome,
  ScoreResult,
  StepAt,
  StepFailure,
  StepMeta,
  StopReason,
  TextValue,
} from './types.js';

/** What the loop knows of its item. References and small texts only. */
export interface ItemInput {
  caption: TextValue;
  trueImage: ArtifactRef | null;
  /** Rounds for which an arm has feedback at all; arms that are not named have it for every round. */
  feedbackRounds: Record<string, number>;
}

/** What is embedded: a round's picture, or what pictures are compared with. */
export type EmbedSubject = { role: 'picture' | 'true'; image: ArtifactRef } | { role: 'caption'; text: TextValue };

/**
 * Who carries the steps out. The workflow schedules activities; a look-up reads records; a test may count.
 * A step that failed for good throws {@link StepFailed}.
 */
export interface Steps {
  generate(at: StepAt, parts: PromptPart[]): Promise<GenerateResult>;
  embed(at: StepAt, subject: EmbedSubject, encoders: string[]): Promise<EmbedResult>;
  feedback(at: StepAt, arm: string): Promise<FeedbackResult>;
  score(at: StepAt, subject: ScoreSubject): Promise<ScoreResult>;
  /** Called after each round, to show where the item is. */
  progress?(at: StepAt, round: RoundOutcome): void;
}

export interface ScoreSubject {
  image: ArtifactRef;
  trueImage: ArtifactRef | null;
  /** By encoder: embedding of the picture, and of what it is compared with. */
  embeddings: Record<string, ArtifactRef>;
  references: Record<string, ArtifactRef>;
}

/** A step failed for good. */
export class StepFailed extends Error {
  constructor(
    readonly failure: StepFailure,
    /** A deterministic model gets another draw instead. */
    readonly redraw = false,
  ) {
    super(failure.message);
    this.name = 'StepFailed';
  }
}

const NO_STOP = { target: null, patience: null, minGain: 0 };

/** New samples that an unusable picture is given before the step counts as failed. */
const REDRAWS = 2;
/** Redraws number from here, clear of the draws that control seeds use. */
const REDRAW_STRIDE = 1000;

/**
 * The refine loop on one item: round 0 once, then every arm from it, side by side.
 * Pure and deterministic: the same code runs in the workflow, in look-ups of recorded items and in plans.
 */
export async function refineLoop(plan: ItemPlan, item: ItemInput, steps: Steps): Promise<ItemOutcome> {
  const tally = new Tally();
  let round0: RoundOutcome;
  let references: Record<string, ArtifactRef>;
  try {
    const start: StepAt = { arm: null, round: 0, draw: 0 };
    references = await embedReferences(plan, item, steps, tally, start);
    round0 = await makeRound(plan, item, steps, tally, references, start, refiners.append(item.caption, []), null);
  } catch (error) {
    return { state: 'failed', arms: [], ...tally.total(), failure: asStepFailure(error) };
  }
  const arms = await Promise.all(plan.arms.map((arm) => runArm(plan, arm, item, steps, tally, references, round0)));
  const failure = arms.find((arm) => arm.failure)?.failure;
  return { state: itemState(plan, arms), arms, ...tally.total(), ...(failure ? { failure } : {}) };
}

async function runArm(
  plan: ItemPlan,
  arm: ArmPlan,
  item: ItemInput,
  steps: Steps,
  tally: Tally,
  references: Record<string, ArtifactRef>,
  round0: RoundOutcome,
): Promise<ArmOutcome> {
  const rounds = [round0];
  const feedback: TextValue[] = [];
  const limit = Math.min(plan.rounds, item.feedbackRounds[arm.name] ?? plan.rounds);
  const select = () => rounds.map((r) => r.scores[plan.select]!);
  // The control makes all its draws: an arm is compared with as many as it made calls, however early either would stop.
  const stop = arm.source === null ? NO_STOP : plan.stop;
  let reason: StopReason | null = arm.source !== null && gated(select()[0]!, plan.gate) ? 'gate' : null;
  let failure: StepFailure | undefined;
  try {
    while (!(reason ??= stopReason(select(), limit, stop))) {
      const round = rounds.length;
      const at: StepAt = { arm: arm.name, round, draw: arm.source === null || arm.seeds === 'new' ? round : 0 };
      const written = arm.source === null ? null : tally.add(await steps.feedback(at, arm.name));
      if (written) feedback.push(written.feedback);
      const parts = refiners[arm.refine](item.caption, feedback);
      rounds.push(await makeRound(plan, item, steps, tally, references, at, parts, written));
    }
  } catch (error) {
    failure = asStepFailure(error);
    reason = 'failed';
  }
  if (reason === 'rounds' && limit < plan.rounds) reason = 'feedback_ended';
  const best = bestRound(select());
  return {
    name: arm.name,
    oracle: arm.oracle,
    state: failure ? 'failed' : armState(plan, rounds),
    rounds,
    best: { round: best },
    stopped: { round: best, reason },
    ...(failure ? { failure } : {}),
  };
}

async function makeRound(
  plan: ItemPlan,
  item: ItemInput,
  steps: Steps,
  tally: Tally,
  references: Record<string, ArtifactRef>,
  at: StepAt,
  parts: PromptPart[],
  written: FeedbackResult | null,
): Promise<RoundOutcome> {
  const generated = tally.addImage(await generateUsable(steps, at, parts, tally));
  const { embeddings, meta } = await steps.embed(at, { role: 'picture', image: generated.image }, plan.imageEncoders);
  meta.forEach((m) => tally.add(m));
  const scored = tally.add(await steps.score(at, { image: generated.image, trueImage: item.trueImage, embeddings, references }));
  const round: RoundOutcome = {
    round: at.round,
    draw: at.draw,
    seed: generated.seed,
    parts,
    feedback: written?.feedback ?? null,
    image: generated.image,
    tokens: generated.tokens,
    scores: scored.scores,
    steps: {
      generate: generated.key,
      ...Object.fromEntries(plan.imageEncoders.map((encoder, i) => [`embed:${encoder}`, meta[i]!.key])),
      ...(written ? { feedback: written.key } : {}),
      score: scored.key,
    },
  };
  steps.progress?.(at, round);
  return round;
}

/** A picture that is unusable (NaN, black, blocked) is drawn anew, at most {@link REDRAWS} times. */
async function generateUsable(steps: Steps, at: StepAt, parts: PromptPart[], tally: Tally): Promise<GenerateResult> {
  for (let redraw = 0; ; redraw++) {
    try {
      return await steps.generate({ ...at, draw: at.draw + redraw * REDRAW_STRIDE }, parts);
    } catch (error) {
      if (error instanceof StepFailed) tally.addLostImages(error.failure.attempt);
      if (!(error instanceof StepFailed && error.redraw) || redraw === REDRAWS) throw error;
    }
  }
}

/** What pictures are compared with, embedded once an item: the caption by text encoders, the true image by the others. */
async function embedReferences(
  plan: ItemPlan,
  item: ItemInput,
  steps: Steps,
  tally: Tally,
  at: StepAt,
): Promise<Record<string, ArtifactRef>> {
  const ofImage = plan.imageEncoders.filter((e) => !plan.textEncoders.includes(e));
  const wanted: Array<[EmbedSubject, string[]]> = [];
  if (plan.textEncoders.length > 0) wanted.push([{ role: 'caption', text: item.caption }, plan.textEncoders]);
  if (item.trueImage && ofImage.length > 0) wanted.push([{ role: 'true', image: item.trueImage }, ofImage]);
  const results = await Promise.all(wanted.map(([subject, encoders]) => steps.embed(at, subject, encoders)));
  for (const result of results) result.meta.forEach((m) => tally.add(m));
  return Object.assign({}, ...results.map((r) => r.embeddings)) as Record<string, ArtifactRef>;
}

/** State of an arm by its last round's primary score against round 0's: the estimand `fixed`, no selection in between. */
function armState(plan: ItemPlan, rounds: RoundOutcome[]): ArmState {
  const gain = primaryGain(plan, rounds, rounds.length - 1);
  if (gain > plan.stop.minGain) return 'improved';
  return gain < -plan.stop.minGain ? 'worse' : 'unchanged';
}

function primaryGain(plan: ItemPlan, rounds: RoundOutcome[], round: number): number {
  const score = (r: RoundOutcome) => r.scores[plan.primary] ?? r.scores[plan.select]!;
  return score(rounds[round]!) - score(rounds[0]!);
}

/** State of an item, from its arms; see the word `uncurable` in docs/words.md. */
function itemState(plan: ItemPlan, arms: ArmOutcome[]): ItemState {
  if (arms.some((a) => a.state === 'failed')) return 'failed';
  const isFeedbackArm = (a: ArmOutcome) => plan.arms.some((p) => p.name === a.name && p.source !== null && p.source !== 'shuffled');
  if (arms.some((a) => a.state === 'improved' && isFeedbackArm(a) && !a.oracle)) return 'improved';
  const oracles = arms.filter((a) => a.oracle && isFeedbackArm(a));
  const controls = arms.filter((a) => plan.arms.some((p) => p.name === a.name && p.source === null));
  const anyDrawImproved = controls.some((a) => a.rounds.some((_, round) => primaryGain(plan, a.rounds, round) > plan.stop.minGain));
  if (oracles.length > 0 && !oracles.some((a) => a.state === 'improved') && !anyDrawImproved) return 'uncurable';
  return 'unchanged';
}

function asStepFailure(error: unknown): StepFailure {
  if (error instanceof StepFailed) return error.failure;
  throw error; // Cancellation and look-up misses are not failures of a step.
}

/** Sums what the steps of an item took. */
class Tally {
  private executed = 0;
  private cached = 0;
  private retried = 0;
  private images = 0;
  private seconds = 0;

  add<T extends StepMeta>(meta: T): T {
    if (meta.cached) this.cached++;
    else {
      this.executed++;
      this.seconds += meta.seconds;
      this.retried += Math.max(0, meta.attempts - 1);
    }
    return meta;
  }

  addImage<T extends StepMeta>(meta: T): T {
    if (!meta.cached) this.images += Math.max(1, meta.attempts);
    return this.add(meta);
  }

  /** Attempts that gave no picture were paid for all the same. */
  addLostImages(attempts: number): void {
    this.images += attempts;
  }

  total() {
    return {
      steps: { executed: this.executed, cached: this.cached, retried: this.retried },
      spent: { images: this.images, seconds: this.seconds, usd: 0 },
    };
  }
}
