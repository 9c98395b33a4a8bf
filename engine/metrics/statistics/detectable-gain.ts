/** z(0.975) + z(0.80): a two-sided test at 5% that finds what is there four times in five. */
const Z_TWO_SIDED_5_PERCENT = 1.959964;
const Z_POWER_80_PERCENT = 0.841621;

/**
 * Smallest mean paired gain that n items show, in standard deviations of the paired differences
 * (normal approximation; Lehr 1992 rounds the same number up). `null` below two items.
 */
export function detectableGain(n: number): number | null {
  return n < 2 ? null : (Z_TWO_SIDED_5_PERCENT + Z_POWER_80_PERCENT) / Math.sqrt(n);
}
