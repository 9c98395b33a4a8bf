import type { ArmRecipe, Recipe, RefinerName, StopRecipe } from './recipe.js';

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
  stop: StopRecipe;
  gate: number | null;
}

export interface ArmPlan {
  name: string;
  oracle: boolean;
  /** `null`: control. */
  source: FeedbackSource | null;
  refine: RefinerName;
  seeds: 'keep' | 'new';
}

export type FeedbackSource = 'dataset' | 'shuffled';

/** Which queue writes an arm's feedback: models go to a device, everything else stays on the workflow's own queue. */
export const feedbackQueue: Record<FeedbackSource, QueueRole> = { dataset: 'orchestrator', shuffled: 'orchestrator' };

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
    arms: recipe.arms.map(armPlan),
    select: recipe.scores.select.metric,
    primary: recipe.scores.primary.metric,
    imageEncoders: encoders,
    textEncoders: encoders.filter((m) => metricOf(m).needsCaption),
    stop: recipe.stop,
    gate: recipe.gate.score,
  };
}

function armPlan(arm: ArmRecipe): ArmPlan {
  return { name: arm.name, oracle: arm.oracle, source: arm.feedback?.source ?? null, refine: arm.refine, seeds: arm.seeds };
}

/** Generator calls of one item when every step runs: round 0 once, then every arm's rounds. */
export function worstCaseImages(plan: ItemPlan): number {
  return 1 + plan.arms.length * plan.rounds;
}
