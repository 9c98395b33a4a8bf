import { InvalidInput } from '../../../core/errors.js';
import type { SchedulerConfig } from './scheduler-config.js';

const { fround } = Math;

/**
 * Cumulative products of 1 - beta by training step, float32 as torch computes them: betas in float32, the product
 * accumulated in double precision and rounded at each step.
 */
export function alphasCumprod(config: SchedulerConfig): Float32Array {
  const { num_train_timesteps: n } = config;
  const scaled = config.beta_schedule === 'scaled_linear';
  const root = (beta: number): number => (scaled ? Math.sqrt(beta) : beta);
  const betas = linspace(root(config.beta_start), root(config.beta_end), n);
  const products = new Float32Array(n);
  let product = 1;
  betas.forEach((beta, i) => {
    product *= fround(1 - (scaled ? fround(beta * beta) : beta));
    products[i] = product;
  });
  return products;
}

/** `torch.linspace` in float32: counted from the nearer end. */
function linspace(start: number, end: number, n: number): Float32Array {
  const [from, to] = [fround(start), fround(end)];
  const step = n > 1 ? fround(fround(to - from) / (n - 1)) : 0;
  return Float32Array.from({ length: n }, (_, i) => (i < n / 2 ? from + step * i : to - step * (n - 1 - i)));
}

/** numpy's rounding: halves go to the even neighbour. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Throws InvalidInput unless 1 <= steps <= the steps of training. */
export function checkSteps(numInferenceSteps: number, config: SchedulerConfig): void {
  const most = config.num_train_timesteps;
  if (!Number.isInteger(numInferenceSteps) || numInferenceSteps < 1 || numInferenceSteps > most) {
    throw new InvalidInput(`num_inference_steps must be a whole number from 1 to ${most}, got ${numInferenceSteps}`);
  }
}
