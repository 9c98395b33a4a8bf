import { bestRound } from '../../core/policy/stop.js';
import { callsOf, type ArmOutcome } from '../../core/types.js';
import type { Estimand } from './results-document.js';

/** The score that an arm stands for on one item, and the control's score that it is compared with. */
export interface ArmScores {
  round0: number;
  score: number;
  /** `null`: the control has no draw to compare with. */
  control: number | null;
}

/** Which of an arm's scores is its result on an item, by estimand. */
const armScore: Record<Estimand, (arm: ArmOutcome, scores: number[]) => number> = {
  fixed: (_, scores) => scores.at(-1)!,
  best: (arm, scores) => scores[arm.best.round]!,
  stopped: (arm, scores) => scores[arm.stopped.round]!,
};

/**
 * One item's scores of one arm by one metric and estimand.
 * @param control the item's control arm; `undefined` where the recipe has none. May be `arm` itself: then `fixed` is the mean of its draws
 * @returns `undefined` where a needed score is missing (an item without a true picture), or the arm failed or had no feedback to follow
 */
export function armScores(
  arm: ArmOutcome,
  control: ArmOutcome | undefined,
  metric: string,
  selector: string,
  estimand: Estimand,
): ArmScores | undefined {
  const scores = metricScores(arm, metric);
  const isControl = arm === control;
  if (!scores || !wasTried(arm, isControl)) return undefined;
  const score = isControl && estimand === 'fixed' ? drawsMean(scores, scores.length - 1)! : armScore[estimand](arm, scores);
  const matched = control && !isControl ? controlScore(control, metric, selector, estimand, roundCalls(arm)) : null;
  return { round0: scores[0]!, score, control: matched };
}

/** Generator calls of each round after round 0. */
const roundCalls = (arm: ArmOutcome): number[] => arm.rounds.slice(1).map(callsOf);

/** Generator calls of an arm after round 0. */
export const armCalls = (arm: ArmOutcome): number => roundCalls(arm).reduce((sum, calls) => sum + calls, 0);

/**
 * The control's score against an arm that made so many generator calls in its rounds: `fixed` the mean of as many draws (round 0 for an arm that made
 * none), of which it chooses where the arm chose, else the draw that the selector likes best of round 0 and those.
 */
function controlScore(control: ArmOutcome, metric: string, selector: string, estimand: Estimand, calls: number[]): number | null {
  const scores = metricScores(control, metric);
  if (!scores || control.state === 'failed') return null;
  const selected = metricScores(control, selector);
  const total = calls.reduce((sum, made) => sum + made, 0);
  if (estimand === 'fixed') {
    const chooses = calls.some((made) => made > 1);
    if (!chooses) return drawsMean(scores, total);
    return selected ? choicesMean(scores, selected, calls) : null;
  }
  return selected ? scores[bestRound(selected.slice(0, total + 1))]! : null;
}

/** Mean over an arm's rounds of the draw that the selector likes best of as many as the round made; as far as there are draws. */
function choicesMean(scores: number[], selected: number[], calls: number[]): number | null {
  let next = 1;
  const chosen = calls.flatMap((made) => {
    const [from, to] = [next, (next += made)];
    const draws = selected.slice(from, to);
    return draws.length === 0 ? [] : [scores[from + bestRound(draws)]!];
  });
  return chosen.length === 0 ? null : chosen.reduce((sum, score) => sum + score, 0) / chosen.length;
}

/** Mean of draws 1..count, or of as many as there are; for a count of 0 round 0 itself. */
function drawsMean(scores: number[], count: number): number | null {
  if (count === 0) return scores[0]!;
  const draws = scores.slice(1, count + 1);
  return draws.length === 0 ? null : draws.reduce((sum, s) => sum + s, 0) / draws.length;
}

function metricScores(arm: ArmOutcome, metric: string): number[] | undefined {
  const scores = arm.rounds.map((r) => r.scores[metric]);
  return scores.length > 0 && scores.every((s) => s !== undefined) ? scores : undefined;
}

/**
 * An arm that stopped at round 0 by gate or target is a result (no change, no cost); one that had no feedback to follow, or a control without
 * a draw, is none.
 */
function wasTried(arm: ArmOutcome, isControl: boolean): boolean {
  if (arm.state === 'failed') return false;
  return arm.rounds.length > 1 || !(isControl || arm.stopped.reason === 'feedback_ended' || arm.stopped.reason === 'rounds');
}

/** The control made fewer draws than the arm's calls, so it is compared with those there are. */
export function isUnmatched(arm: ArmOutcome, control: ArmOutcome | undefined): boolean {
  return control !== undefined && control !== arm && control.rounds.length - 1 < armCalls(arm);
}
