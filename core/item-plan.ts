import type { ArmRecipe, FeedbackRecipe, Recipe, RefinerName, StopRecipe } from './recipe.js';

/** Where a step runs. `orchestrator` is the workflow's own queue. */
export type QueueRole = 'orchestrator' | 'cpu' | 'gpu';

/** What `refineItem` needs of the recipe; small, because it stands in every item's history. */
export interface ItemPlan {
  rounds: number;
  arms: ArmPlan[];
  select: string;
  primary: string;
  /** Image encoders whose embeddings the scores read. */
  imageEncoders: string[];
  /** Encoders that also embed the caption. */
  textEncoders: string[];
  /** Where scores are computed: pixels take a processor, embeddings next to nothing. */
  scoreQueue: Exclude<QueueRole, 'gpu'>;
  stop: StopRecipe;
  gate: number | null;
  repeats: number;
}

export interface ArmPlan {
  name: string;
  oracle: boolean;
  /** `null`: control. */
  source: FeedbackSource | null;
  /** A placebo of a model's arm: that arm, which is carried out on another item for its feedback. */
  mirrors?: ArmPlan;
  /** The critic reads the picture through an image encoder of its own. */
  encodes: boolean;
  /** The critic is shown the feedback of earlier rounds. */
  memory: boolean;
  refine: RefinerName;
  feedbackWeight: number;
  seeds: 'keep' | 'new';
  /** See `ArmRecipe`. */
  strength?: number;
}

export type FeedbackSource = FeedbackRecipe['source'];

/** A way to feedback: where it runs, and whether it looks at the picture or only looks something up. */
export interface FeedbackKind {
  queue: QueueRole;
  /** It reads the picture, so it can write for every round, and what it read belongs to the feedback's lineage. */
  looks: boolean;
  /** Each call may cost money, also when its reply is lost. */
  billable: boolean;
}

/** Local models go to a device, remote ones to the CPU queue, look-ups stay on the workflow's own queue. */
export const FEEDBACK_KINDS: Record<FeedbackSource, FeedbackKind> = {
  dataset: { queue: 'orchestrator', looks: false, billable: false },
  shuffled: { queue: 'orchestrator', looks: false, billable: false },
  opt: { queue: 'gpu', looks: true, billable: false },
  chat: { queue: 'cpu', looks: true, billable: true },
  rewrite: { queue: 'cpu', looks: true, billable: true },
};

/** Name under which an arm's own image encoder stands among the encoders. */
export const armEncoder = (arm: string): string => `arm:${arm}`;

/** A score: what it reads, its range, and whether it may stop the loop. */
export interface Metric {
  reads: 'pixels' | 'embeddings';
  /** Name of the model in a pack that provides it; `null` where it needs none. */
  packModel: string | null;
  /** Compares with the true image: reports, never selects. */
  needsTrueImage: boolean;
  needsCaption: boolean;
  range: [number, number];
}

export const METRICS: Record<string, Metric> = {
  clip_text: { reads: 'embeddings', packModel: 'selector', needsTrueImage: false, needsCaption: true, range: [-1, 1] },
  image_similarity: { reads: 'embeddings', packModel: 'similarity', needsTrueImage: true, needsCaption: false, range: [-1, 1] },
  ssim: { reads: 'pixels', packModel: null, needsTrueImage: true, needsCaption: false, range: [-1, 1] },
  psnr: { reads: 'pixels', packModel: null, needsTrueImage: true, needsCaption: false, range: [0, 100] },
};

export function metricOf(name: string): Metric {
  const metric = METRICS[name];
  if (!metric) throw new Error(`unknown metric ${name}`);
  return metric;
}

/** All scores of a recipe, `primary` first, each once. */
export function scoreNames(recipe: Recipe): string[] {
  const { primary, select, report } = recipe.scores;
  return [...new Set([primary, select, ...report].map((s) => s.metric))];
}

export function itemPlan(recipe: Recipe): ItemPlan {
  const metrics = scoreNames(recipe);
  const encoders = metrics.filter((m) => metricOf(m).reads === 'embeddings');
  return {
    rounds: recipe.rounds,
    arms: recipe.arms.map((arm) => armPlan(recipe, arm)),
    select: recipe.scores.select.metric,
    primary: recipe.scores.primary.metric,
    imageEncoders: encoders,
    textEncoders: encoders.filter((m) => metricOf(m).needsCaption),
    scoreQueue: metrics.some((m) => metricOf(m).reads === 'pixels') ? 'cpu' : 'orchestrator',
    stop: recipe.stop,
    gate: recipe.gate.score,
    repeats: recipe.repeats,
  };
}

function armPlan(recipe: Recipe, arm: ArmRecipe): ArmPlan {
  const { name, oracle, feedback, refine, feedbackWeight, seeds, strength } = arm;
  const from = feedback?.source === 'shuffled' ? recipe.arms.find((other) => other.name === feedback.from) : undefined;
  const mirrored = from?.feedback && FEEDBACK_KINDS[from.feedback.source].looks ? from : undefined;
  return {
    name,
    oracle,
    source: feedback?.source ?? null,
    encodes: feedback?.source === 'opt',
    memory: feedback !== null && 'memory' in feedback && feedback.memory,
    refine,
    feedbackWeight,
    seeds,
    ...(strength === undefined ? {} : { strength }),
    ...(mirrored ? { mirrors: armPlan(recipe, mirrored) } : {}),
  };
}

/**
 * Generator calls of one item when every step runs: in each repeat round 0 once, then every arm's rounds, and for the placebo of
 * a model's arm the rounds of the item that it borrows from, should that one not have run yet.
 */
export function worstCaseImages(plan: ItemPlan): number {
  const borrowed = plan.arms.filter((arm) => arm.mirrors).length * plan.rounds;
  return plan.repeats * (1 + plan.arms.length * plan.rounds + borrowed);
}
