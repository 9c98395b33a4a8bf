/** Differences no larger than this are ties: below what any score resolves, above what rounding makes. */
export const TIE_TOLERANCE = 1e-9;

export interface WinTieLoss {
  wins: number;
  ties: number;
  losses: number;
  /** `wins / n`; ties are no wins. `null` without items. */
  winRate: number | null;
}

/** Counts paired differences (one value an item) by sign. */
export function winTieLoss(differences: readonly number[]): WinTieLoss {
  const wins = differences.filter((d) => d > TIE_TOLERANCE).length;
  const losses = differences.filter((d) => d < -TIE_TOLERANCE).length;
  const n = differences.length;
  return { wins, ties: n - wins - losses, losses, winRate: n === 0 ? null : wins / n };
}
