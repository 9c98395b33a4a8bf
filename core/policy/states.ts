import { gainBy, type ArmPlan, type ItemPlan } from '../item-plan.js';
import type { ArmOutcome, ArmState, ItemState, RoundOutcome } from '../types.js';

/** State of an arm by its last round's primary score against round 0's: the estimand `fixed`, no selection in between. */
export function armState(plan: ItemPlan, rounds: RoundOutcome[]): ArmState {
  const gain = primaryGain(plan, rounds, rounds.length - 1);
  if (gain > plan.stop.minGain) return 'improved';
  return gain < -plan.stop.minGain ? 'worse' : 'unchanged';
}

/** State of an item, from its arms, over their repeats; see the word `uncurable` in docs/words.md. */
export function itemState(plan: ItemPlan, arms: ArmOutcome[]): ItemState {
  if (arms.some((a) => a.state === 'failed')) return 'failed';
  const { minGain } = plan.stop;
  const outcomes = (arm: ArmPlan) => arms.filter((a) => a.name === arm.name);
  const improved = (arm: ArmPlan) => mean(outcomes(arm).map((a) => primaryGain(plan, a.rounds, a.rounds.length - 1))) > minGain;
  const writers = plan.arms.filter((arm) => arm.source !== null && arm.source !== 'shuffled');
  if (writers.some((arm) => !arm.oracle && improved(arm))) return 'improved';
  // One that wrote nothing on this item, or was not asked, has not failed to cure it.
  const oracles = writers.filter((arm) => arm.oracle && outcomes(arm).some(({ rounds }) => rounds.length > 1));
  const draws = plan.arms.filter((arm) => arm.source === null).flatMap(outcomes);
  const anyDrawImproved = draws.some((a) => a.rounds.some((_, round) => primaryGain(plan, a.rounds, round) > minGain));
  if (oracles.length > 0 && !oracles.some(improved) && !anyDrawImproved) return 'uncurable';
  return 'unchanged';
}

/** By the primary score; by the selector where an item has no true image. */
function primaryGain(plan: ItemPlan, rounds: RoundOutcome[], round: number): number {
  const [first, last] = [rounds[0]!, rounds[round]!];
  const metric = first.scores[plan.primary] === undefined ? plan.select : plan.primary;
  return gainBy(metric, last.scores[metric]!, first.scores[metric]!);
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
