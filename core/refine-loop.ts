import { armEncoder, candidatesOf, type ArmPlan, type ItemPlan } from './item-plan.js';
import { refiners } from './policy/refine.js';
import { armState, itemState } from './policy/states.js';
import { bestRound, gated, NO_STOP, stopReason } from './policy/stop.js';
import type {
  ArmOutcome,
  ArtifactRef,
  EmbedResult,
  FeedbackResult,
  GenerateResult,
  ItemOutcome,
  RefinedPrompt,
  RoundOutcome,
  ScoreResult,
  StartImage,
  StepAt,
  StepFailure,
  StepMeta,
  StopReason,
  TextArtifact,
  TextValue,
} from './types.js';

/** What the loop knows of its item. References and small texts only. */
export interface ItemInput {
  caption: TextValue;
  trueImage: ArtifactRef | null;
  /** Rounds for which an arm has feedback at all; arms that are not named have it for every round. */
  feedbackRounds: Record<string, number>;
  /** Caption of the item that the placebo of a model's arm borrows from; `null` where there is none or no such arm. */
  partner: { caption: TextValue } | null;
}

/**
 * What is embedded: a round's picture for the scores or for a critic, or what pictures are compared with. `pair`, `asked`: both at once, by a model whose
 * answer is one number.
 */
export type EmbedSubject =
  | { role: 'picture' | 'critic' | 'true'; image: ArtifactRef }
  | { role: 'caption'; text: TextValue }
  | { role: 'pair'; image: ArtifactRef; trueImage: ArtifactRef }
  | { role: 'asked'; image: ArtifactRef; text: TextValue };

export interface EmbedRequest {
  subject: EmbedSubject;
  encoders: string[];
}

/** What a critic is shown. */
export interface Critique {
  picture: ArtifactRef;
  /** The picture by the critic's own image encoder, where it has one. */
  features: ArtifactRef | null;
  /** Feedback of earlier rounds, oldest first; empty where the recipe gives the critic no memory. */
  earlier: TextArtifact[];
  /** Keys of all steps that led to the picture: its lineage. */
  trail: string[];
}

/**
 * Who carries the steps out. The workflow schedules activities; a look-up reads records; a test may count.
 * A step that failed for good throws {@link StepFailed}.
 */
export interface Steps {
  /** @param start the picture that is edited; `null`: the new one begins with noise alone */
  generate(at: StepAt, prompt: RefinedPrompt, start: StartImage | null): Promise<GenerateResult>;
  /** Several at once, because each trip to a device's queue costs more than a small encoder; results in the order of the requests. */
  embed(at: StepAt, wanted: EmbedRequest[]): Promise<EmbedResult[]>;
  feedback(at: StepAt, arm: string, critique: Critique): Promise<FeedbackResult>;
  score(at: StepAt, subject: ScoreSubject): Promise<ScoreResult>;
  /** The same steps on the item that placebos borrow from. */
  partner(): Steps;
  /** Called after each round, to show where the item is. */
  progress?(at: StepAt, round: RoundOutcome): void;
}

export interface ScoreSubject {
  image: ArtifactRef;
  trueImage: ArtifactRef | null;
  /** By encoder: embedding of the picture (a judgement's one number), and of what it is compared with. */
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

/** New samples that unusable output is given before the step counts as failed. */
const REDRAWS = 2;
/** Redraws number from here, clear of the draws that control seeds use. */
export const REDRAW_STRIDE = 1000;
/** Repeat r begins at r times this many draws, clear of redraws. */
export const REPEAT_STRIDE = 10_000;

/** Candidate c's words are sampled as draw + c times this, clear of repeats. */
const CANDIDATE_STRIDE = 1_000_000;

/** Which redraw of a step a draw is; 0 for the first try. */
export const redrawOf = (draw: number): number => Math.floor((draw % REPEAT_STRIDE) / REDRAW_STRIDE);

/** Which draw a text is, of all that a model writes for one picture; 0 for the first try of the first candidate. */
export const textDrawOf = ({ draw, candidate = 0 }: StepAt): number => candidate * (REDRAWS + 1) + redrawOf(draw);

/** The draw whose seed a text is sampled with; a picture's seed is that of `draw` alone, so that candidates differ by their words. */
export const sampleDrawOf = ({ draw, candidate = 0 }: StepAt): number => candidate * CANDIDATE_STRIDE + draw;

/** Everything that one item's loop works with. */
interface Loop {
  plan: ItemPlan;
  item: ItemInput;
  steps: Steps;
  tally: Tally;
  /** What pictures are compared with; on its way while round 0 is drawn. */
  references: Promise<Record<string, ArtifactRef>>;
}

/**
 * The refine loop on one item: round 0 once, then every arm from it, side by side; all of it again, with other seeds, in each repeat.
 * Pure and deterministic: the same code runs in the workflow, in look-ups of recorded items and in plans.
 */
export async function refineLoop(plan: ItemPlan, item: ItemInput, steps: Steps): Promise<ItemOutcome> {
  const tally = new Tally();
  const arms: ArmOutcome[] = [];
  const references = embedReferences(plan, item, steps, tally, { arm: null, round: 0, draw: 0 });
  references.catch(() => undefined); // Whoever scores hears of it.
  const loop: Loop = { plan, item, steps, tally, references };
  try {
    const repeats = Array.from({ length: plan.repeats }, (_, repeat) => runRepeat(loop, repeat));
    for (const outcomes of await Promise.all(repeats)) arms.push(...outcomes);
  } catch (error) {
    await references.catch(() => undefined); // Nothing is left on its way.
    return { state: 'failed', arms: [], ...tally.total(), failure: asStepFailure(error) };
  }
  const failure = arms.find((arm) => arm.failure)?.failure;
  return { state: itemState(plan, arms), arms, ...tally.total(), ...(failure ? { failure } : {}) };
}

async function runRepeat(loop: Loop, repeat: number): Promise<ArmOutcome[]> {
  const start: StepAt = { arm: null, round: 0, draw: repeat * REPEAT_STRIDE };
  const round0 = await makeRound(loop, start, refiners.append(loop.item.caption, []), null, null);
  return Promise.all(loop.plan.arms.map((arm) => runArm(loop, arm, round0, repeat)));
}

async function runArm(loop: Loop, arm: ArmPlan, round0: RoundOutcome, repeat: number): Promise<ArmOutcome> {
  const { plan, item, steps, tally } = loop;
  const rounds = [round0];
  const feedback: TextArtifact[] = [];
  const writer = arm.mirrors ? new Lender(loop, arm.mirrors, repeat, arm.swap) : new Writer(steps, arm, tally);
  const limit = arm.draws ?? Math.min(plan.rounds, item.feedbackRounds[arm.name] ?? plan.rounds);
  const select = () => rounds.map((r) => r.scores[plan.select]!);
  // The control makes all its draws: an arm is compared with as many as it made calls, however early either would stop.
  const stop = arm.source === null ? NO_STOP : plan.stop;
  let reason: StopReason | null = arm.source !== null && gated(select()[0]!, plan.gate) ? 'gate' : null;
  let failure: StepFailure | undefined;
  try {
    while (!(reason ??= stopReason(select(), limit, stop))) {
      const at = stepAt(arm, rounds.length, repeat);
      const written = arm.source === null ? null : await writer.write(at, rounds.at(-1)!.image, feedback, trailOf(rounds));
      if (written === 'none') {
        reason = 'feedback_ended';
        break;
      }
      const start = startOf(arm, rounds.at(-1)!.image);
      if (written && written.length > 1) {
        const { round, kept } = await bestOf(loop, arm, at, written, feedback, start);
        feedback.push(kept.result.feedback);
        rounds.push(round);
      } else {
        if (written) feedback.push(written[0]!.result.feedback);
        const prompt = refiners[arm.refine](item.caption, feedback, arm.feedbackWeight);
        rounds.push(await makeRound(loop, at, prompt, start, written?.[0] ?? null));
      }
    }
  } catch (error) {
    failure = asStepFailure(error);
    reason = 'failed';
  }
  if (reason === 'rounds' && limit < plan.rounds) reason = 'feedback_ended';
  const best = bestRound(select());
  return {
    name: arm.name,
    repeat,
    oracle: arm.oracle,
    state: failure ? 'failed' : armState(plan, rounds),
    rounds,
    best: { round: best },
    stopped: { round: best, reason },
    ...(failure ? { failure } : {}),
  };
}

/** The control, and arms with `seeds: new`, take a fresh seed each round; the others keep round 0's. */
function stepAt(arm: ArmPlan, round: number, repeat: number): StepAt {
  const fresh = arm.source === null || arm.seeds === 'new';
  return { arm: arm.name, round, draw: repeat * REPEAT_STRIDE + (fresh ? round : 0) };
}

/** What an arm's next picture begins with. */
function startOf({ strength }: ArmPlan, previous: ArtifactRef | undefined): StartImage | null {
  return strength === undefined || previous === undefined ? null : { image: previous, strength };
}

/** Keys of the steps that led to the last picture; what scores took is no part of it. */
function trailOf(rounds: RoundOutcome[]): string[] {
  return rounds.flatMap(({ steps }) => [steps['generate'], steps['features'], steps['feedback']].filter((key) => key !== undefined));
}

/** A feedback with the keys of the steps behind it. */
interface Written {
  result: FeedbackResult;
  keys: Record<string, string>;
}

/** Writes an arm's feedback on the pictures that it is shown. */
class Writer {
  constructor(
    private readonly steps: Steps,
    private readonly arm: ArmPlan,
    private readonly tally: Tally,
  ) {}

  /** One text, or the arm's candidates, each once. */
  async write(at: StepAt, picture: ArtifactRef, earlier: TextArtifact[], trail: string[]): Promise<Written[]> {
    const { steps, arm, tally } = this;
    let features: ArtifactRef | null = null;
    const keys: Record<string, string> = {};
    if (arm.encodes) {
      const encoder = armEncoder(arm.name);
      const { embeddings, meta } = await embedOne(steps, at, { subject: { role: 'critic', image: picture }, encoders: [encoder] }, tally);
      features = embeddings[encoder]!;
      keys['features'] = meta[0]!.key;
    }
    const critique = { picture, features, earlier: arm.memory ? [...earlier] : [], trail: [...trail, ...Object.values(keys)] };
    const ask = (one: StepAt) => withRedraws(one, (drawn) => steps.feedback(drawn, arm.name, critique));
    const count = candidatesOf(arm);
    const results = count === 1 ? [await ask(at)] : await together(candidatesAt(at, count).map(ask));
    const written = results.map((result) => ({ result: tally.addFeedback(result), keys: { ...keys, feedback: result.key } }));
    return count === 1 ? written : eachOnce(written);
  }
}

const eachOnce = (written: Written[]): Written[] => [...new Map(written.map((one) => [one.result.feedback.ref.digest, one])).values()];

/** The first is the step that an arm without candidates makes. */
const candidatesAt = (at: StepAt, count: number): StepAt[] =>
  Array.from({ length: count }, (_, candidate) => (candidate === 0 ? at : { ...at, candidate }));

/** All side by side. Where one fails the others are waited for, so that nothing is left on its way. */
async function together<T>(works: Array<Promise<T>>): Promise<T[]> {
  return (await Promise.allSettled(works)).map((ended) => {
    if (ended.status === 'rejected') throw ended.reason;
    return ended.value;
  });
}

/** Failures that a model's output or its input brings about: another attempt would meet them again. */
const LASTING = new Set(['InvalidInput', 'ModelOutputInvalid']);

/**
 * Carries a model's arm out on another item, as far as a round needs it, and lends a placebo its feedback, or its picture to write on. The
 * steps are the other item's own, so each is done once in a run, whoever comes first.
 */
class Lender {
  private readonly partner: Loop;
  private readonly writer: Writer;
  /** Of the placebo's own item: what it writes on a picture that is lent. */
  private readonly own: Writer;
  private written: Written[] = [];
  private readonly feedback: TextArtifact[] = [];
  private readonly trail: string[] = [];
  private picture: ArtifactRef | undefined;

  constructor(
    private readonly loop: Loop,
    private readonly arm: ArmPlan,
    private readonly repeat: number,
    private readonly swap: ArmPlan['swap'],
  ) {
    this.partner = partnerLoop(loop);
    this.writer = new Writer(this.partner.steps, arm, loop.tally);
    this.own = new Writer(loop.steps, arm, loop.tally);
  }

  async write(at: StepAt, _picture: ArtifactRef, earlier: TextArtifact[], trail: string[]): Promise<Written[] | 'none'> {
    if (!this.loop.item.partner) return 'none';
    try {
      // Of an arm that lends pictures alone the last feedback is not wanted: each is written when a picture is made with it.
      if (this.swap && at.round > 1) this.written = await this.writeOn(at.round - 1);
      const drawn = this.written.length > 1 ? await this.drawBest(at.round - 1) : await this.drawOnly(at.round - 1);
      this.trail.push(drawn.key);
      this.picture = drawn.image;
      if (!this.swap) this.written = await this.writeOn(at.round);
    } catch (error) {
      // The other item fails by itself and says so; here there is only nothing to borrow.
      if (error instanceof StepFailed && LASTING.has(error.failure.type)) return 'none';
      throw error;
    }
    const lent = this.trail.at(-1)!;
    const written = this.swap ? await this.own.write(at, this.picture, earlier, [...trail, ...this.trail]) : this.written;
    return written.map(({ result, keys }) => ({ result, keys: { ...keys, lent } }));
  }

  /** The other item's feedback of a round, on its last picture. */
  private writeOn(round: number): Promise<Written[]> {
    return this.writer.write(stepAt(this.arm, round, this.repeat), this.picture!, this.feedback, this.trail);
  }

  /** The other item's picture of a round, with the feedback that was written last. */
  private drawOnly(round: number): Promise<Drawn> {
    if (this.written[0]) this.keep(this.written[0]);
    const at: StepAt = round === 0 ? { arm: null, round, draw: this.repeat * REPEAT_STRIDE } : stepAt(this.arm, round, this.repeat);
    const { item, steps, tally } = this.partner;
    const prompt = refiners[round === 0 ? 'append' : this.arm.refine](item.caption, this.feedback, this.arm.feedbackWeight);
    return generateUsable(steps, at, prompt, startOf(this.arm, this.picture), tally);
  }

  /** The same where it chooses between candidates. */
  private async drawBest(round: number): Promise<Drawn> {
    const { arm, partner, written } = this;
    const at = stepAt(arm, round, this.repeat);
    const best = await bestOf(partner, arm, at, written, this.feedback, startOf(arm, this.picture));
    this.keep(best.kept);
    return { key: best.round.steps['generate']!, image: best.round.image };
  }

  private keep({ result, keys }: Written): void {
    this.feedback.push(result.feedback);
    this.trail.push(...Object.values(keys));
  }
}

type Drawn = Pick<GenerateResult, 'key' | 'image'>;

/** The loop of the item that placebos borrow from, as far as the selector needs it: without its true image. */
function partnerLoop({ plan, item, steps, tally }: Loop): Loop {
  const partner: ItemInput = { caption: item.partner?.caption ?? {}, trueImage: null, feedbackRounds: {}, partner: null };
  const own = steps.partner();
  let references: Loop['references'] | undefined;
  return {
    plan,
    item: partner,
    steps: own,
    tally,
    get references() {
      return (references ??= embedReferences(plan, partner, own, tally, { arm: null, round: 0, draw: 0 }));
    },
  };
}

/** A round with a picture for each text, of which the selector keeps the one that it likes best; the earliest of equals. */
async function bestOf(
  loop: Loop,
  arm: ArmPlan,
  at: StepAt,
  written: Written[],
  feedback: TextArtifact[],
  start: StartImage | null,
): Promise<{ round: RoundOutcome; kept: Written }> {
  const places = candidatesAt(at, written.length);
  const made = await together(
    written.map((one, i) => {
      const prompt = refiners[arm.refine](loop.item.caption, [...feedback, one.result.feedback], arm.feedbackWeight);
      return makeRound(loop, places[i]!, prompt, start, one);
    }),
  );
  const scores = made.map((round) => round.scores[loop.plan.select]!);
  const best = bestRound(scores);
  const candidates = made.map(({ image }, i) => ({ feedback: written[i]!.result.feedback, image, score: scores[i]! }));
  return { round: { ...made[best]!, candidates }, kept: written[best]! };
}

async function makeRound(
  loop: Loop,
  at: StepAt,
  prompt: RefinedPrompt,
  start: StartImage | null,
  written: Written | null,
): Promise<RoundOutcome> {
  const { plan, item, steps, tally } = loop;
  const generated = await generateUsable(steps, at, prompt, start, tally);
  const wanted = pictureRequests(plan, item, generated.image);
  const results = wanted.length > 0 ? await steps.embed(at, wanted) : [];
  const embeddings: Record<string, ArtifactRef> = {};
  const embedKeys: Record<string, string> = {};
  for (const [i, result] of results.entries()) {
    Object.assign(embeddings, result.embeddings);
    wanted[i]!.encoders.forEach((encoder, k) => (embedKeys[`embed:${encoder}`] = tally.add(result.meta[k]!).key));
  }
  const references = await loop.references;
  const scored = tally.add(await steps.score(at, { image: generated.image, trueImage: item.trueImage, embeddings, references }));
  const round: RoundOutcome = {
    round: at.round,
    draw: at.draw,
    seed: generated.seed,
    prompt,
    feedback: written?.result.feedback ?? null,
    image: generated.image,
    tokens: generated.tokens,
    scores: scored.scores,
    steps: {
      generate: generated.key,
      ...embedKeys,
      ...(written ? written.keys : {}),
      score: scored.key,
    },
  };
  steps.progress?.(at, round);
  return round;
}

/** What the scores want of a round's picture. */
function pictureRequests(plan: ItemPlan, { caption, trueImage }: ItemInput, image: ArtifactRef): EmbedRequest[] {
  const { imageEncoders, distances = [], answers = [] } = plan;
  const wanted: EmbedRequest[] = [];
  if (imageEncoders.length > 0) wanted.push({ subject: { role: 'picture', image }, encoders: imageEncoders });
  if (trueImage && distances.length > 0) wanted.push({ subject: { role: 'pair', image, trueImage }, encoders: distances });
  if (answers.length > 0) wanted.push({ subject: { role: 'asked', image, text: caption }, encoders: answers });
  return wanted;
}

async function embedOne(steps: Steps, at: StepAt, wanted: EmbedRequest, tally: Tally): Promise<EmbedResult> {
  const [result] = await steps.embed(at, [wanted]);
  result!.meta.forEach((m) => tally.add(m));
  return result!;
}

/** A picture that is unusable (NaN, blocked) is drawn anew, and every attempt at it counts. */
async function generateUsable(
  steps: Steps,
  at: StepAt,
  prompt: RefinedPrompt,
  start: StartImage | null,
  tally: Tally,
): Promise<GenerateResult> {
  const generated = await withRedraws(at, (drawn) =>
    steps.generate(drawn, prompt, start).catch((error: unknown) => {
      if (error instanceof StepFailed) tally.addLostImages(error.failure.attempt);
      throw error;
    }),
  );
  return tally.addImage(generated);
}

/** Unusable output is drawn anew, at most {@link REDRAWS} times. */
async function withRedraws<T>(at: StepAt, step: (at: StepAt) => Promise<T>): Promise<T> {
  for (let redraw = 0; ; redraw++) {
    try {
      return await step({ ...at, draw: at.draw + redraw * REDRAW_STRIDE });
    } catch (error) {
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
  const wanted: EmbedRequest[] = [];
  if (plan.textEncoders.length > 0) wanted.push({ subject: { role: 'caption', text: item.caption }, encoders: plan.textEncoders });
  if (item.trueImage && ofImage.length > 0) wanted.push({ subject: { role: 'true', image: item.trueImage }, encoders: ofImage });
  const results = wanted.length > 0 ? await steps.embed(at, wanted) : [];
  for (const result of results) result.meta.forEach((m) => tally.add(m));
  return Object.assign({}, ...results.map((r) => r.embeddings)) as Record<string, ArtifactRef>;
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
  private usd = 0;

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

  addFeedback(result: FeedbackResult): FeedbackResult {
    if (!result.cached) this.usd += result.usd;
    return this.add(result);
  }

  /** Attempts that gave no picture were paid for all the same. */
  addLostImages(attempts: number): void {
    this.images += attempts;
  }

  total() {
    return {
      steps: { executed: this.executed, cached: this.cached, retried: this.retried },
      spent: { images: this.images, seconds: this.seconds, usd: this.usd },
    };
  }
}
