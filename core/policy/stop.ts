import type { StopRecipe } from '../recipe.js';
import type { StopReason } from '../types.js';

/** Every round runs. */
export const NO_STOP: StopRecipe = { target: null, patience: null, minGain: 0 };

/** The round with the highest selector score; the earliest of equals. Never looks at anything but the selector. */
export function bestRound(scores: number[]): number {
  let best = 0;
  scores.forEach((score, round) => {
    if (score > scores[best]!) best = round;
  });
  return best;
}

/**
 * Whether an arm ends after the rounds so far, and why.
 * @param scores selector scores, round 0 first
 * @param rounds rounds at most, after round 0
 */
export function stopReason(scores: number[], rounds: number, stop: StopRecipe): StopReason | null {
  if (stop.target !== null && scores[bestRound(scores)]! >= stop.target) return 'target';
  if (scores.length > rounds) return 'rounds';
  if (stop.patience !== null && roundsWithoutGain(scores, stop.minGain) >= stop.patience) return 'patience';
  return null;
}

/** How many rounds in a row, up to the last, brought no new best by more than `minGain`. */
function roundsWithoutGain(scores: number[], minGain: number): number {
  let best = scores[0]!;
  let idle = 0;
  for (const score of scores.slice(1)) {
    if (score - best > minGain) idle = 0;
    else idle++;
    best = Math.max(best, score);
  }
  return idle;
}

/** Do no harm: an item that already scores this high by the selector gets no critic. */
export function gated(score: number, gate: number | null): boolean {
  return gate !== null && score >= gate;
}
