import { InvalidInput } from '../../../core/errors.js';
import { alphasCumprod, checkSteps, roundHalfEven } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';

const { fround } = Math;

/** What diffusers would compute otherwise with; anything else here changes the numbers. */
const ONLY: Partial<SchedulerConfig> = { algorithm_type: 'dpmsolver++', solver_order: 2, solver_type: 'midpoint' };

/**
 * DPM-Solver++(2M), midpoint (Lu et al., arXiv 2211.01095, algorithm 2): second order from the second step on, first order at
 * the end. As diffusers' `DPMSolverMultistepScheduler`, float32 throughout.
 */
export class DpmSolverMultistepScheduler implements Scheduler {
  readonly initNoiseSigma = 1;
  timesteps: readonly number[] = [];
  private readonly alphas: Float32Array;
  /** Noise-to-signal ratio at each timestep and after the last one. */
  private sigmas = new Float32Array();
  /** The model's estimate of the clean sample at the step before. */
  private lastOriginal: Float32Array | null = null;
  private index = 0;

  /** Throws InvalidInput for another algorithm or order than the one implemented. */
  constructor(private readonly config: SchedulerConfig) {
    for (const [field, only] of Object.entries(ONLY)) {
      const value = config[field];
      if (value !== undefined && value !== only)
        throw new InvalidInput(`DPMSolverMultistepScheduler: ${field} must be ${String(only)}, got ${JSON.stringify(value)}`);
    }
    this.alphas = alphasCumprod(config);
  }

  setTimesteps(numInferenceSteps: number): void {
    checkSteps(numInferenceSteps, this.config);
    this.timesteps = timestepsOf(this.config, numInferenceSteps);
    const ratio = (t: number): number => fround(Math.sqrt(fround(fround(1 - this.alphas[t]!) / this.alphas[t]!)));
    const last = this.config.final_sigmas_type === 'zero' ? 0 : ratio(0);
    this.sigmas = Float32Array.from([...this.timesteps.map(ratio), last]);
    this.lastOriginal = null;
    this.index = 0;
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  save(): Float32Array | null {
    return this.lastOriginal;
  }

  restore(done: number, saved: Float32Array | null): void {
    this.index = done;
    this.lastOriginal = saved;
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    if (timestep !== this.timesteps[this.index]) throw new RangeError(`timestep ${timestep} is not the next one of the loop`);
    const now = signalAndNoise(this.sigmas[this.index]!);
    const next = signalAndNoise(this.sigmas[this.index + 1]!);
    const original = this.originalSample(modelOutput, sample, now);
    const h = fround(next.lambda - now.lambda);
    const keep = fround(next.noise / now.noise);
    const gain = fround(next.signal * fround(fround(Math.exp(-h)) - 1));

    const result = new Float32Array(sample.length);
    if (this.lastOriginal === null || this.firstOrderNow()) {
      for (let i = 0; i < result.length; i++) result[i] = fround(keep * sample[i]!) - fround(gain * original[i]!);
    } else {
      const before = signalAndNoise(this.sigmas[this.index - 1]!);
      const slope = fround(1 / fround(fround(now.lambda - before.lambda) / h));
      const half = fround(0.5 * gain);
      for (let i = 0; i < result.length; i++) {
        const difference = fround(slope * fround(original[i]! - this.lastOriginal[i]!));
        result[i] = fround(fround(keep * sample[i]!) - fround(gain * original[i]!)) - fround(half * difference);
      }
    }
    this.lastOriginal = original;
    this.index++;
    return result;
  }

  /** The last step, where second order is unstable: few steps, or a target without noise. */
  private firstOrderNow(): boolean {
    const { euler_at_final: euler, lower_order_final: lower = true, final_sigmas_type: final } = this.config;
    const n = this.timesteps.length;
    return this.index === n - 1 && (euler || (lower && n < 15) || final === 'zero');
  }

  private originalSample(modelOutput: Float32Array, sample: Float32Array, at: SignalAndNoise): Float32Array {
    switch (this.config.prediction_type) {
      case 'epsilon':
        return modelOutput.map((output, i) => fround(sample[i]! - fround(at.noise * output)) / at.signal);
      case 'sample':
        return modelOutput;
      case 'v_prediction':
        return modelOutput.map((output, i) => fround(at.signal * sample[i]!) - fround(at.noise * output));
    }
  }
}

interface SignalAndNoise {
  signal: number;
  noise: number;
  /** Half the logarithm of the signal-to-noise ratio; infinite without noise. */
  lambda: number;
}

function signalAndNoise(sigma: number): SignalAndNoise {
  const signal = fround(1 / fround(Math.sqrt(fround(fround(sigma * sigma) + 1))));
  const noise = fround(sigma * signal);
  return { signal, noise, lambda: fround(fround(Math.log(signal)) - fround(Math.log(noise))) };
}

function timestepsOf(config: SchedulerConfig, n: number): number[] {
  const { num_train_timesteps: total, steps_offset: offset } = config;
  switch (config.timestep_spacing ?? 'linspace') {
    case 'linspace':
      return Array.from({ length: n }, (_, i) => roundHalfEven(((n - i) * (total - 1)) / n));
    case 'leading': {
      const ratio = Math.floor(total / (n + 1));
      return Array.from({ length: n }, (_, i) => (n - i) * ratio + offset);
    }
    case 'trailing':
      return Array.from({ length: n }, (_, i) => roundHalfEven(total - i * (total / n)) - 1);
  }
}
