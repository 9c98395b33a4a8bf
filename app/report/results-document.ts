import type { AnalysisPlan, Estimand, MeasuredLosses, Recipe } from '../../core/recipe.js';
import type { ArmState, Digest, ItemState, StepFailure, StepRuntime, StopReason, Tokens } from '../../core/types.js';

export { ESTIMANDS, type Estimand } from '../../core/recipe.js';

/** What `report --json` prints. Deterministic: no times, no hosts, items in dataset order. */
export interface ResultsDocument {
  runId: string;
  recipe: Recipe;
  /** Name of the metric that the claims are about. */
  primary: string;
  /** Name of the metric that picks the best round. */
  selector: string;
  /** All metrics, `primary` first. */
  metrics: string[];
  /** Name of the control arm; `null` where the recipe has none. */
  control: string | null;
  runtime: StepRuntime;
  software: { name: string; version: string };
  /** By the path as it stands in the recipe. */
  models: Record<string, { digest: Digest; trainedOn: number }>;
  items: ItemResult[];
  arms: ArmResult[];
  /** Items that stand in no mean, and why. */
  excluded: Array<{ id: string; reason: string }>;
  /** What was planned before round 0; `null` for a run that was started without a plan. */
  plan: AnalysisPlan | null;
  /** Where the report is not what was planned, as sentences; empty where it is. */
  deviations: string[];
  /** Items that no feedback helped, not even an oracle's, with what was tried. */
  uncurable: UncurableItem[];
  /** By column of `dataset.strata`, then by its values in order. */
  strata: Stratum[];
}

/** What an uncurable item was offered: the gain in the primary metric that came closest to helping. */
export interface UncurableItem {
  id: string;
  caption: string;
  /** By oracle arm: the largest gain of any of its rounds over round 0, and the feedback that led to it. */
  oracles: Array<{ arm: string; round: number; gain: number; feedback: string | null }>;
  /** The control draw that gained most; `null` without a control. */
  control: { draw: number; gain: number } | null;
}

/** The primary metric's `fixed` results on the items that share a value. */
export interface Stratum {
  column: string;
  value: string;
  arms: Array<{
    name: string;
    oracle: boolean;
    n: number;
    gainMean: number | null;
    ci95: [number, number] | null;
    vsControl: ComparisonResult | null;
  }>;
}

export interface ItemResult {
  id: string;
  caption: string;
  /** `pending`: no record yet. */
  state: ItemState | 'pending';
  /** Names of the models in use that were trained on this item. */
  trainedOn: string[];
  trueImage: Digest | null;
  /** Values of `dataset.strata`. */
  strata: Record<string, string>;
  arms: ItemArmResult[];
  reason?: string;
  failure?: StepFailure;
}

export interface ItemArmResult {
  name: string;
  /** From 0; above it only where the recipe repeats its items. */
  repeat: number;
  oracle: boolean;
  state: ArmState;
  rounds: RoundResult[];
  best: { round: number };
  stopped: { round: number; reason: StopReason };
  /** By metric: the `fixed` gain; empty where the arm failed or had no feedback. */
  gain: Record<string, number>;
  failure?: StepFailure;
}

export interface RoundResult {
  round: number;
  prompt: string;
  feedback: string | null;
  image: Digest;
  seed: number;
  tokens: Tokens;
  scores: Record<string, number>;
  /** All that the selector chose from, this one among them; only where the arm has candidates. */
  candidates?: Array<{ feedback: string; image: Digest; score: number }>;
}

/** What an arm's feedback is like, whatever came of it. */
export interface ArmWords {
  /** How much its texts differ from one another; `null` where it has none. */
  feedback: FeedbackVariety | null;
  /** Overlap of its feedback with the feedback that its model was trained on; `null` where none is known. */
  copied: CopiedFeedback | null;
  /** What the pack of its model says of the training; `null` where it says nothing. */
  training: TrainingFacts | null;
}

export interface FeedbackVariety {
  texts: number;
  /** Different ones. */
  distinct: number;
  /** Different words, and different pairs of words, as a share of all. */
  distinct1: number;
  distinct2: number;
}

/** Losses a token, as the training measured them. The model looks at pictures only where another item's picture makes the loss worse. */
export interface TrainingFacts extends MeasuredLosses {
  /** Items that it was trained on. */
  items: number;
}

export interface ArmResult extends ArmWords {
  name: string;
  oracle: boolean;
  /** Its feedback comes from a model that did not see the true picture: one of the rivals. */
  learned: boolean;
  /** The arm that this one is the placebo of. */
  placeboOf: string | null;
  /** This arm's placebo. */
  placebo: string | null;
  /** Of a placebo: whether the other item's feedback was shown, or the critic was shown the other item's picture. */
  swap: 'feedback' | 'picture' | null;
  /** The arm in which this one's critic was shown other items' pictures. */
  otherPicture: string | null;
  /** Items in the means of the primary metric. */
  n: number;
  /** Pictures made after round 0 on the items that stand in the means. */
  generatorCalls: number;
  /** Items on which the control had fewer draws than this arm had calls, so that it is compared with the draws there are. */
  unmatched: number;
  /** Calls of a critic after round 0 on the items that stand in the means; compute beside the generator's. */
  feedbackCalls: number;
  /** Prompts that were longer than the text encoder, and how many of their tokens it did not see. */
  cut: { prompts: number; tokens: number };
  /** The primary metric round by round, round 0 first. */
  curve: RoundMean[];
  /** Whether the arm fell after its best round; `null` below two rounds. */
  retention: Retention | null;
  /** Share of what could be gained: 0 is the placebo's gain, 1 the best oracle's; `null` where one of the two is missing. */
  attainable: { share: number; oracle: string } | null;
  /** Where the variance of the gain lies; `null` without repeats. */
  variance: VarianceShares | null;
  scores: Record<string, MetricResult>;
}

/** Mean gain over round 0 of the items that reached this round. */
export interface RoundMean {
  round: number;
  n: number;
  mean: number;
  gainMean: number;
  ci95: [number, number] | null;
}

export interface Retention {
  bestRound: number;
  /** Mean gains of the best and of the last round, over the items that reached the last. */
  bestGain: number;
  lastGain: number;
  /** Last minus best with its interval: below 0, what was gained was lost again. */
  change: ComparisonResult;
}

/** One-way random effects over items, for the `fixed` gain of one repeat. */
export interface VarianceShares {
  repeats: number;
  /** Between items, freed of what seeds add. */
  item: number;
  /** Within an item, between seeds. */
  seed: number;
}

export interface CopiedFeedback {
  /** Words in a row that count as copied. */
  n: number;
  /** Share of its n-grams that also stand in the training feedback, 0 to 1. */
  share: number;
  /** Feedback texts that stand there word for word. */
  verbatim: number;
  texts: number;
  /** The same share for one word in a row, two, and so on up to `n`. */
  ngrams: Array<{ n: number; share: number }>;
}

export interface MetricResult extends Record<Estimand, EstimandResult> {
  /** Mean score of the arm's last rounds; of the control: of its draws. `null` without items. */
  mean: number | null;
  /** Mean score of round 0 on the same items. */
  round0Mean: number | null;
}

/** Paired differences over n items: interval by BCa bootstrap, p by sign flips. What no item supports is `null`. */
export interface PairedResult {
  n: number;
  ci95: [number, number] | null;
  wins: number;
  ties: number;
  losses: number;
  winRate: number | null;
  /** Mean divided by the standard deviation of the differences (Cohen's d_z); `null` below two items or without variation. */
  effectSize: number | null;
  p: number | null;
  /**
   * Holm-corrected. Secondary metrics: over all arms and secondary metrics in this comparison. The primary metric: over the learned arms, where
   * there are several; else `p`.
   */
  pAdjusted: number | null;
}

export interface EstimandResult extends PairedResult {
  /** Mean difference to round 0. */
  gainMean: number | null;
  /** `null` for the control itself and where there is none. */
  vsControl: ComparisonResult | null;
  /** Only where the recipe has a placebo of this arm. */
  vsPlacebo?: ComparisonResult;
  /** Only where the recipe has an arm that gives this one's critic another item's picture. */
  vsOtherPicture?: ComparisonResult;
}

export interface ComparisonResult extends PairedResult {
  mean: number | null;
}
