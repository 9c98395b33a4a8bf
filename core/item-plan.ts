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
  /** Scores that a model gives on picture and true image together; absent where there are none. */
  distances?: string[];
  /** Scores that a model gives on picture and caption together; absent where there are none. */
  answers?: string[];
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
  /** A placebo of a model's arm: that arm, which is carried out on another item for its feedback, or for its pictures alone. */
  mirrors?: ArmPlan;
  /** Of a placebo with `mirrors`: that arm's critic writes for this item, on the other one's pictures. */
  swap?: 'picture';
  /** The critic reads the picture through an image encoder of its own. */
  encodes: boolean;
  /** The critic is shown the feedback of earlier rounds. */
  memory: boolean;
  refine: RefinerName;
  feedbackWeight: number;
  seeds: 'keep' | 'new';
  /** See `ArmRecipe`. */
  strength?: number;
  /** See `ArmRecipe`. */
  candidates?: number;
  /** Of the control: how many pictures it draws, where other arms make more of them than there are rounds. */
  draws?: number;
}

/** Pictures that an arm makes in a round at most. */
export const candidatesOf = ({ candidates = 1 }: Pick<ArmPlan, 'candidates'>): number => candidates;

export type FeedbackSource = FeedbackRecipe['source'];

/** A way to feedback: where it runs, and whether it looks at the picture or only looks something up. */
export interface FeedbackKind {
  queue: QueueRole;
  /** It reads the picture, so it can write for every round, and what it read belongs to the feedback's lineage. */
  looks: boolean;
  /** Each call may cost money, also when its reply is lost. */
  billable: boolean;
  /** Its words are a person's: what a model is taught with. */
  person?: true;
}

/** Local models go to a device, remote ones to the CPU queue, look-ups stay on the workflow's own queue. */
export const FEEDBACK_KINDS: Record<FeedbackSource, FeedbackKind> = {
  dataset: { queue: 'orchestrator', looks: false, billable: false, person: true },
  shuffled: { queue: 'orchestrator', looks: false, billable: false },
  opt: { queue: 'gpu', looks: true, billable: false },
  blip2: { queue: 'gpu', looks: true, billable: false },
  vlm: { queue: 'gpu', looks: true, billable: false },
  chat: { queue: 'cpu', looks: true, billable: true },
  rewrite: { queue: 'cpu', looks: true, billable: true },
};

/** Name under which an arm's own image encoder stands among the encoders. */
export const armEncoder = (arm: string): string => `arm:${arm}`;

/** Layouts of the model folders that scores read (engine/inference/model-folder.ts says which files each has). */
export type ScoreModelKind = 'image-text' | 'image' | 'vit-mae' | 'image-distance' | 'vision-language';

/** A score: what it reads and needs, how its numbers are to be read, and whether it may stop the loop. */
export interface Metric {
  /** `judgement`: a number that a model gives when it sees the picture together with the true image or the caption. */
  reads: 'pixels' | 'embeddings' | 'judgement';
  /** What its model folder holds, and under which name a pack provides one; `null` where it needs none. */
  model: { kind: ScoreModelKind; inPack: string | null } | null;
  /** Compares with the true image: reports, never selects. */
  needsTrueImage: boolean;
  needsCaption: boolean;
  /** Least and greatest value; stop targets and gates must lie within. */
  range: [number, number];
  /** Which way is better. Gains count that way, too: above 0 is better. What selects is higher where it is better. */
  better: 'higher' | 'lower';
  /** What a value means: what equal pictures score, what unrelated ones do, and how to get the number that papers give. */
  calibration: string;
}

const ofTrueImage = { needsTrueImage: true, needsCaption: false };
const ofCaption = { needsTrueImage: false, needsCaption: true };
const cosine = { reads: 'embeddings', range: [-1, 1], better: 'higher' } satisfies Partial<Metric>;

export const METRICS: Record<string, Metric> = {
  clip_text: {
    ...cosine,
    ...ofCaption,
    model: { kind: 'image-text', inPack: 'selector' },
    calibration:
      "Cosine. With OpenAI's CLIP a fitting caption scores about 0.3 and an unrelated one 0.1 to 0.2, never near 1: set targets from a run's own round 0. CLIPScore is 2.5 x max(value, 0), the logit 100 x value; SigLIP has a scale of its own.",
  },
  image_similarity: {
    ...cosine,
    ...ofTrueImage,
    model: { kind: 'image', inPack: 'similarity' },
    calibration: "Cosine by any image encoder; 1: equal. What unrelated pictures score is the encoder's own.",
  },
  clip_image: {
    ...cosine,
    ...ofTrueImage,
    model: { kind: 'image', inPack: null },
    calibration: 'Cosine (CLIP-I); 1: equal. Unrelated photographs score about 0.5 by CLIP, not 0.',
  },
  dinov2: {
    ...cosine,
    ...ofTrueImage,
    model: { kind: 'image', inPack: null },
    calibration: 'Cosine of the class tokens; 1: equal. Unrelated pictures score near 0, so that it parts subjects better than CLIP.',
  },
  vit_mae: {
    ...cosine,
    ...ofTrueImage,
    model: { kind: 'vit-mae', inPack: 'vit-mae' },
    calibration:
      "Cosine of the mean features; 1: equal. Not trained to compare: unrelated pictures score high, too, so read its differences against the placebo's.",
  },
  lpips: {
    ...ofTrueImage,
    reads: 'judgement',
    model: { kind: 'image-distance', inPack: null },
    range: [0, 8.1],
    better: 'lower',
    calibration:
      'Distance; 0: equal, unrelated photographs about 0.7, and the published heads allow no more than 8.1. A gain is how much it fell.',
  },
  vqa: {
    ...ofCaption,
    reads: 'judgement',
    model: { kind: 'vision-language', inPack: null },
    range: [0, 1],
    better: 'higher',
    calibration:
      "Probability that the model's next token is Yes. A model that says Yes to everything scores unrelated pictures high: hold it against the placebo.",
  },
  ssim: {
    ...ofTrueImage,
    reads: 'pixels',
    model: null,
    range: [-1, 1],
    better: 'higher',
    calibration: '1: equal; unrelated pictures about 0.',
  },
  psnr: {
    ...ofTrueImage,
    reads: 'pixels',
    model: null,
    range: [0, 100],
    better: 'higher',
    calibration: 'Decibels; 100: equal (capped); unrelated pictures about 8 to 12.',
  },
};

export function metricOf(name: string): Metric {
  const metric = METRICS[name];
  if (!metric) throw new Error(`unknown metric ${name}`);
  return metric;
}

/** How much better `score` is than `than`: above 0 is better, whichever way the metric counts. */
export function gainBy(metric: string, score: number, than: number): number {
  return METRICS[metric]?.better === 'lower' ? than - score : score - than;
}

/** All scores of a recipe, `primary` first, each once. */
export function scoreNames(recipe: Recipe): string[] {
  const { primary, select, report } = recipe.scores;
  return [...new Set([primary, select, ...report].map((s) => s.metric))];
}

export function itemPlan(recipe: Recipe): ItemPlan {
  const metrics = scoreNames(recipe);
  const encoders = metrics.filter((m) => metricOf(m).reads === 'embeddings');
  const judgements = metrics.filter((m) => metricOf(m).reads === 'judgement');
  const distances = judgements.filter((m) => metricOf(m).needsTrueImage);
  const answers = judgements.filter((m) => metricOf(m).needsCaption);
  return {
    rounds: recipe.rounds,
    arms: recipe.arms.map((arm) => armPlan(recipe, arm)),
    select: recipe.scores.select.metric,
    primary: recipe.scores.primary.metric,
    imageEncoders: encoders,
    textEncoders: encoders.filter((m) => metricOf(m).needsCaption),
    ...(distances.length > 0 ? { distances } : {}),
    ...(answers.length > 0 ? { answers } : {}),
    scoreQueue: metrics.some((m) => metricOf(m).reads === 'pixels') ? 'cpu' : 'orchestrator',
    stop: recipe.stop,
    gate: recipe.gate.score,
    repeats: recipe.repeats,
  };
}

function armPlan(recipe: Recipe, arm: ArmRecipe): ArmPlan {
  const { name, oracle, feedback, refine, feedbackWeight, seeds, strength, candidates } = arm;
  const most = feedback === null ? Math.max(...recipe.arms.map(candidatesOf)) : 1;
  const swap = feedback?.source === 'shuffled' ? feedback.swap : undefined;
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
    ...(candidates === undefined ? {} : { candidates }),
    ...(most === 1 ? {} : { draws: most * recipe.rounds }),
    ...(mirrored ? { mirrors: armPlan(recipe, mirrored) } : {}),
    ...(mirrored && swap ? { swap } : {}),
  };
}

/**
 * Generator calls of one item when every step runs: in each repeat round 0 once, then every arm's rounds, and for the placebo of
 * a model's arm the rounds of the item that it borrows from but for the last, should that one not have run yet.
 */
export function worstCaseImages({ arms, rounds, repeats }: ItemPlan): number {
  const calls = arms.map((arm) => arm.draws ?? rounds * candidatesOf(arm));
  const borrowed = arms.map(({ mirrors }) => (mirrors ? 1 + (rounds - 1) * candidatesOf(mirrors) : 0));
  return repeats * [1, ...calls, ...borrowed].reduce((sum, n) => sum + n, 0);
}
