/**
 * Cohen's d_z: mean of paired differences over their standard deviation (n - 1). `null` below two items or where nothing varies.
 * Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988.
 */
export function effectSize(differences: readonly number[]): number | null {
  const n = differences.length;
  if (n < 2) return null;
  const mean = differences.reduce((sum, d) => sum + d, 0) / n;
  const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
  return variance > 1e-24 ? mean / Math.sqrt(variance) : null;
}
