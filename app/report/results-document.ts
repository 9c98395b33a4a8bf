import type { Recipe } from '../../core/recipe.js';
import type { ArmState, Digest, ItemState, StepFailure, StepRuntime, StopReason, Tokens } from '../../core/types.js';

/** `fixed`: last round, no selection. `best`: the selector's best round. `stopped`: what the stop policy returned. */
export const ESTIMANDS = ['fixed', 'best', 'stopped'] as const;
export type Estimand = (typeof ESTIMANDS)[number];

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
}

export interface ItemResult {
  id: string;
  caption: string;
  /** `pending`: no record yet. */
  state: ItemState | 'pending';
  /** Names of the models in use that were trained on this item. */
  trainedOn: string[];
  trueImage: Digest | null;
  arms: ItemArmResult[];
  reason?: string;
  failure?: StepFailure;
}

export interface ItemArmResult {
  name: string;
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
}

export interface ArmResult {
  name: string;
  oracle: boolean;
  /** The arm that this one is the placebo of. */
  placeboOf: string | null;
  /** This arm's placebo. */
  placebo: string | null;
  /** Items in the means of the primary metric. */
  n: number;
  /** Pictures made after round 0 on the items that stand in the means. */
  generatorCalls: number;
  /** Items on which the control had fewer draws than this arm had calls, so that it is compared with the draws there are. */
  unmatched: number;
  scores: Record<string, MetricResult>;
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
  p: number | null;
  /** Holm-corrected over all arms' secondary metrics in this comparison; of the primary metric: `p`. */
  pAdjusted: number | null;
}

export interface EstimandResult extends PairedResult {
  /** Mean difference to round 0. */
  gainMean: number | null;
  /** `null` for the control itself and where there is none. */
  vsControl: ComparisonResult | null;
  /** Only where the recipe has a placebo of this arm. */
  vsPlacebo?: ComparisonResult;
}

export interface ComparisonResult extends PairedResult {
  mean: number | null;
}
