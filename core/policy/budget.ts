import type { BudgetRecipe } from '../recipe.js';
import type { Spent } from '../types.js';

/** A budget's state. Items reserve their worst case at their start, so that none stops between its arms. */
export interface BudgetState {
  spent: Spent;
  reservedImages: number;
  running: number;
  finished: number;
}

export const emptyBudget = (): BudgetState => ({ spent: { images: 0, seconds: 0, usd: 0 }, reservedImages: 0, running: 0, finished: 0 });

/**
 * `start`: reserve and go. `wait`: does not fit now, but running items may give back what they reserved.
 * `reached`: does not fit and nothing is running.
 */
export type Reservation = 'start' | 'wait' | 'reached';

/**
 * Images are reserved at their worst case, which is known; seconds and money by the mean of finished items, since they are not.
 * @param worstCaseImages generator calls of one item in which every step runs and none is recorded
 */
export function reserve(state: BudgetState, limits: BudgetRecipe, worstCaseImages: number): Reservation {
  const fits =
    (limits.images === null || state.spent.images + state.reservedImages + worstCaseImages <= limits.images) &&
    fitsByMean(state, limits.seconds, state.spent.seconds) &&
    fitsByMean(state, limits.usd, state.spent.usd);
  if (fits) return 'start';
  return state.running > 0 ? 'wait' : 'reached';
}

function fitsByMean(state: BudgetState, limit: number | null, spent: number): boolean {
  if (limit === null) return true;
  // Nothing is known yet: one item goes ahead and shows what an item takes.
  if (state.finished === 0) return state.running === 0 && spent < limit;
  const mean = spent / state.finished;
  return spent + (state.running + 1) * mean <= limit;
}

export function started(state: BudgetState, worstCaseImages: number): BudgetState {
  return { ...state, reservedImages: state.reservedImages + worstCaseImages, running: state.running + 1 };
}

export function finished(state: BudgetState, worstCaseImages: number, spent: Spent): BudgetState {
  return {
    spent: {
      images: state.spent.images + spent.images,
      seconds: state.spent.seconds + spent.seconds,
      usd: state.spent.usd + spent.usd,
    },
    reservedImages: state.reservedImages - worstCaseImages,
    running: state.running - 1,
    finished: state.finished + 1,
  };
}

/**
 * The share of a budget of a partition that holds items [from, to) of `total`. Images are given for whole items, so that small shares are of use, and the last
 * partition has what is left over: all shares together are the whole.
 */
export function shareOf(limits: BudgetRecipe, [from, to]: readonly [number, number], total: number, worstCaseImages: number): BudgetRecipe {
  const part = total === 0 ? 0 : (to - from) / total;
  const imagesUpTo = (items: number, images: number) =>
    items === total ? images : Math.floor((Math.floor(images / worstCaseImages) * items) / total) * worstCaseImages;
  return {
    images: limits.images === null ? null : imagesUpTo(to, limits.images) - imagesUpTo(from, limits.images),
    seconds: limits.seconds === null ? null : limits.seconds * part,
    usd: limits.usd === null ? null : limits.usd * part,
  };
}
