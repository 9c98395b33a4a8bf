/**
 * One-way random effects over groups of equal size: the variance between groups, freed of what varies within them, and the
 * variance within. Searle, Casella and McCulloch, "Variance Components", 1992, chapter 3 (ANOVA estimators; a negative one is 0).
 * @param groups one row an item, one value a repeat
 * @returns `null` below two groups or two values a group
 */
export function varianceComponents(groups: readonly (readonly number[])[]): { between: number; within: number } | null {
  const k = groups[0]?.length ?? 0;
  if (groups.length < 2 || k < 2 || groups.some((g) => g.length !== k)) return null;
  const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const means = groups.map(mean);
  const centre = mean(means);
  const betweenSquares = (k * means.reduce((sum, m) => sum + (m - centre) ** 2, 0)) / (groups.length - 1);
  const within = groups.reduce((sum, g, i) => sum + g.reduce((s, v) => s + (v - means[i]!) ** 2, 0), 0) / (groups.length * (k - 1));
  return { between: Math.max(0, (betweenSquares - within) / k), within };
}
