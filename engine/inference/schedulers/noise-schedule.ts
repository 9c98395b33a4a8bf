import type { SchedulerConfig } from './scheduler-config.js';

const { fround } = Math;
const sqrt = (x: number): number => fround(Math.sqrt(x));

/** Cumulative products of 1 - beta by training step, float32 as torch computes them. */
export function alphasCumprod(config: SchedulerConfig): Float32Array {
  const { num_train_timesteps: n } = config;
  const scaled = config.beta_schedule === 'scaled_linear';
  const root = (beta: number): number => (scaled ? Math.sqrt(beta) : beta);
  const betas = linspace(root(config.beta_start), root(config.beta_end), n).map((beta) => (scaled ? beta * beta : beta));
  return products(config.rescale_betas_zero_snr ? zeroTerminalSnr(betas) : betas);
}

/** The product accumulated in double precision and rounded at each step. */
function products(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => (product *= fround(1 - beta)));
}

/** Betas that leave no signal at the last step (Lin et al., arXiv 2305.08891, algorithm 1). */
function zeroTerminalSnr(betas: Float32Array): Float32Array {
  const signals = products(betas).map(sqrt);
  const [first, last] = [signals[0]!, signals.at(-1)!];
  const scale = fround(first / fround(first - last));
  const alphasBar = signals.map((signal) => fround(fround(signal - last) * scale) ** 2);
  return alphasBar.map((alpha, i) => 1 - fround(i === 0 ? alpha : alpha / alphasBar[i - 1]!));
}

/** `torch.linspace` in float32: counted from the nearer end. */
function linspace(start: number, end: number, n: number): Float32Array {
  const [from, to] = [fround(start), fround(end)];
  const step = n > 1 ? fround(fround(to - from) / (n - 1)) : 0;
  return Float32Array.from({ length: n }, (_, i) => (i < n / 2 ? from + step * i : to - step * (n - 1 - i)));
}

/** Signal and noise of a sample in float32: their squares add up to one. */
export interface NoiseLevel {
  signal: number;
  noise: number;
}

/** The level at a cumulative product. */
export function levelOf(alphaCumprod: number): NoiseLevel {
  return { signal: sqrt(alphaCumprod), noise: sqrt(fround(1 - alphaCumprod)) };
}

/** signal * original + noise * drawn. */
export function noisySample(original: Float32Array, drawn: Float32Array, { signal, noise }: NoiseLevel): Float32Array {
  return original.map((x, i) => fround(signal * x) + fround(noise * drawn[i]!));
}

/** The clean sample that a model's output stands for: the noise, the clean sample itself, or v (Salimans & Ho, arXiv 2202.00512, appendix D). */
export function cleanSample(
  prediction: SchedulerConfig['prediction_type'],
  modelOutput: Float32Array,
  sample: Float32Array,
  { signal, noise }: NoiseLevel,
): Float32Array {
  switch (prediction) {
    case 'epsilon':
      return modelOutput.map((output, i) => fround(sample[i]! - fround(noise * output)) / signal);
    case 'sample':
      return modelOutput.slice();
    case 'v_prediction':
      return modelOutput.map((output, i) => fround(signal * sample[i]!) - fround(noise * output));
  }
}
