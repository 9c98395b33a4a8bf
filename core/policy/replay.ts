import type { ItemPlan } from '../item-plan.js';
import type { ArmOutcome, ItemRecord, StopReason } from '../types.js';
import { armState, itemState } from './states.js';
import { bestRound, gated, NO_STOP, stopReason } from './stop.js';

export interface ReplayedItem {
  record: ItemRecord;
  /** Arms that the policy would have carried further than the run did; they are shown as far as they went. */
  cut: number;
}

/**
 * A finished item as another stop, gate or selector would have left it: the same rounds, fewer of them. Nothing is made up: an arm that
 * the run ended earlier than this policy would is counted in `cut`.
 * @param plan the run's plan with the other policy in it; its arms and rounds are the run's
 */
export function replayItem(plan: ItemPlan, record: ItemRecord): ReplayedItem {
  const replays = record.arms.map((arm) => replayArm(plan, arm));
  const arms = replays.map(({ outcome }) => outcome);
  const cut = replays.filter(({ open }) => open).length;
  if (arms.length === 0 || record.state === 'cancelled') return { record, cut: 0 };
  const { failure: _, ...rest } = record;
  const failure = arms.find((arm) => arm.failure)?.failure;
  return { record: { ...rest, arms, state: itemState(plan, arms), ...(failure ? { failure } : {}) }, cut };
}

function replayArm(plan: ItemPlan, arm: ArmOutcome): { outcome: ArmOutcome; open: boolean } {
  const control = plan.arms.find(({ name }) => name === arm.name)!.source === null;
  const select = arm.rounds.map((round) => round.scores[plan.select]!);
  const stop = control ? NO_STOP : plan.stop;
  // An arm that came to its end by itself ends there under any policy; one that a policy ended has no known end.
  const exhausted = arm.stopped.reason === 'rounds' || arm.stopped.reason === 'feedback_ended';
  const limit = exhausted ? select.length - 1 : Infinity;
  let reason: StopReason | null = !control && gated(select[0]!, plan.gate) ? 'gate' : null;
  let made = 1;
  while (!(reason ??= stopReason(select.slice(0, made), limit, stop)) && made < select.length) made++;
  if (reason === 'rounds') reason = arm.stopped.reason;
  const rounds = arm.rounds.slice(0, made);
  const failed = reason === null && arm.failure !== undefined;
  const best = bestRound(select.slice(0, made));
  const { failure, ...rest } = arm;
  const outcome: ArmOutcome = {
    ...rest,
    state: failed ? 'failed' : armState(plan, rounds),
    rounds,
    best: { round: best },
    stopped: { round: best, reason: reason ?? arm.stopped.reason },
    ...(failed ? { failure } : {}),
  };
  return { outcome, open: reason === null && !failed };
}
