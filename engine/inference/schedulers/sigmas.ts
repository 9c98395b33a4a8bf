import { alphasCumprod } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';

const { fround } = Math;

/** Of the schedule of Karras et al. (arXiv 2206.00364, equation 5). */
const RHO = 7;

/**
 * Noise-to-signal ratio at each step of training, float32. Without any signal at the last step it would be infinite: diffusers
 * leaves a trace.
 */
export function trainingSigmas(config: SchedulerConfig): Float32Array {
  const alphas = alphasCumprod(config);
  if (config.rescale_betas_zero_snr) alphas[alphas.length - 1] = 2 ** -24;
  return alphas.map((alpha) => Math.sqrt(fround(fround(1 - alpha) / alpha)));
}

/** The ratio at a step of training that may be a fraction. */
export function sigmaAt(training: Float32Array, timestep: number): number {
  const below = Math.min(Math.floor(timestep), training.length - 2);
  return training[below]! + (training[below + 1]! - training[below]!) * (timestep - below);
}

/** The step of training, a fraction, with this ratio: between neighbours by the logarithm. */
export function timestepAt(training: Float32Array, sigma: number): number {
  const log = (i: number): number => fround(Math.log(training[i]!));
  const above = training.findIndex((other, i) => i > 0 && log(i) > Math.log(sigma));
  const low = above < 0 ? training.length - 2 : above - 1;
  const weight = (log(low) - Math.log(sigma)) / fround(log(low) - log(low + 1));
  return low + Math.min(1, Math.max(0, weight));
}

/** `n` ratios from the largest to the smallest, evenly spaced in their 7th root (Karras et al., equation 5). */
export function karrasSigmas(largest: number, smallest: number, n: number): number[] {
  const [from, to] = [largest ** (1 / RHO), smallest ** (1 / RHO)];
  const step = n > 1 ? 1 / (n - 1) : 0;
  return Array.from({ length: n }, (_, i) => (from + i * step * (to - from)) ** RHO);
}
