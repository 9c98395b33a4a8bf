import { seedOf, uniform } from '../../../core/seeds.js';
import { normalCdf, normalQuantile } from './normal-distribution.js';

export const BOOTSTRAP_RESAMPLES = 10_000;

export type Interval = [lo: number, hi: number];

export interface BootstrapInterval {
  interval: Interval;
  /** `percentile`: bias or acceleration could not be estimated. `constant`: all values are equal, nothing varies. */
  method: 'bca' | 'percentile' | 'constant';
}

/**
 * Confidence interval of the mean of paired differences (one value an item): bias-corrected and accelerated bootstrap.
 * Efron, "Better bootstrap confidence intervals", JASA 82, 1987; acceleration from the jackknife, ties counted half as in SciPy.
 * `null` below two values: one item says nothing about how items vary.
 * @param name names the data; the same name and values always give the same interval
 */
export function bcaBootstrap(
  values: readonly number[],
  name: string,
  { level = 0.95, resamples = BOOTSTRAP_RESAMPLES }: { level?: number; resamples?: number } = {},
): BootstrapInterval | null {
  if (values.length < 2) return null;
  const first = values[0]!;
  if (values.every((v) => v === first)) return { interval: [first, first], method: 'constant' };

  return bcaInterval(values, resampledMeans(Float64Array.from(values), name, resamples), level);
}

/**
 * The interval from given resampled means, sorted: bias from where the mean lies among them, acceleration from the jackknife.
 * @throws never; where bias or acceleration cannot be estimated it is the percentile interval
 */
export function bcaInterval(values: readonly number[], means: Float64Array, level = 0.95): BootstrapInterval {
  const alpha = (1 - level) / 2;
  const bias = normalQuantile(shareBelow(means, mean(values)));
  const acceleration = jackknifeAcceleration(values);
  const bca = (z: number) => normalCdf(bias + (bias + z) / (1 - acceleration * (bias + z)));
  const lo = bca(normalQuantile(alpha));
  const hi = bca(normalQuantile(1 - alpha));
  if (Number.isFinite(bias) && Number.isFinite(acceleration) && Number.isFinite(lo) && Number.isFinite(hi) && lo < hi) {
    return { interval: [quantile(means, lo), quantile(means, hi)], method: 'bca' };
  }
  return { interval: [quantile(means, alpha), quantile(means, 1 - alpha)], method: 'percentile' };
}

/** Means of `resamples` samples of n with replacement, sorted. */
function resampledMeans(values: Float64Array, name: string, resamples: number): Float64Array {
  const random = uniform(seedOf(0, name, 0));
  const n = values.length;
  const means = new Float64Array(resamples);
  for (let b = 0; b < resamples; b++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[(random() * n) | 0]!;
    means[b] = sum / n;
  }
  return means.sort();
}

/** Share of the sorted `means` that lies below `point`; those equal to it (up to rounding) count half. */
function shareBelow(means: Float64Array, point: number): number {
  const tolerance = 1e-12 * Math.max(1e-6, Math.abs(point));
  let below = 0;
  let equal = 0;
  for (const m of means) {
    if (m < point - tolerance) below++;
    else if (m <= point + tolerance) equal++;
    else break;
  }
  return (below + equal / 2) / means.length;
}

/** Efron 1987, equation 7.4 from leave-one-out means: sum d^3 / (6 (sum d^2)^1.5). */
function jackknifeAcceleration(values: readonly number[]): number {
  const n = values.length;
  const total = values.reduce((sum, v) => sum + v, 0);
  const leaveOneOut = values.map((v) => (total - v) / (n - 1));
  const centre = mean(leaveOneOut);
  let cubes = 0;
  let squares = 0;
  for (const m of leaveOneOut) {
    cubes += (centre - m) ** 3;
    squares += (centre - m) ** 2;
  }
  return cubes / (6 * squares ** 1.5);
}

/** Quantile of sorted values, linear between neighbours (NumPy's default). */
function quantile(sorted: Float64Array, p: number): number {
  const at = p * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}
