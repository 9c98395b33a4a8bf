import { InvalidInput } from '../../../core/errors.js';
import { LogSnrSolver } from './log-snr-solver.js';
import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';

const { fround } = Math;

/** What diffusers computes alike (it reads other solvers' values as its own); anything else here changes the numbers. */
const ONLY = {
  algorithm_type: ['dpmsolver++', 'deis'],
  solver_order: [2],
  solver_type: ['midpoint', 'logrho', 'bh1', 'bh2'],
} satisfies Partial<Record<keyof SchedulerConfig, unknown[]>>;

/**
 * DPM-Solver++(2M), midpoint (Lu et al., arXiv 2211.01095, algorithm 2): second order from the second step on, first order at
 * the end: x' = (sigma' / sigma) x - alpha' (e^-h - 1) ((1 + 1 / 2r) x0 - (1 / 2r) x0_before). As diffusers' `DPMSolverMultistepScheduler`, float32 throughout.
 */
export class DpmSolverMultistepScheduler extends LogSnrSolver {
  static readonly className = 'DPMSolverMultistepScheduler';
  static readonly defaults: Partial<SchedulerConfig> = {};
  static readonly unsupported: readonly UnsupportedField[] = [
    'trained_betas',
    'thresholding',
    'use_exponential_sigmas',
    'use_beta_sigmas',
    'use_lu_lambdas',
    'use_flow_sigmas',
    'sigma_min',
    'sigma_max',
    'lambda_min_clipped',
    'variance_type',
  ];
  /** The model's estimate of the clean sample at the step before. */
  private lastOriginal: Float32Array | undefined;

  /** Throws InvalidInput for another algorithm or order than the one implemented. */
  constructor(config: SchedulerConfig) {
    super(config);
    for (const [field, allowed] of Object.entries(ONLY) as Array<[keyof typeof ONLY, unknown[]]>) {
      if (!allowed.includes(config[field]))
        throw new InvalidInput(`DPMSolverMultistepScheduler: ${field} must be ${String(allowed[0])}, got ${JSON.stringify(config[field])}`);
    }
  }

  save(): Float32Array[] {
    return this.lastOriginal ? [this.lastOriginal] : [];
  }

  restore(done: number, [lastOriginal]: Float32Array[]): void {
    this.index = done;
    this.lastOriginal = lastOriginal;
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    if (timestep !== this.timesteps[this.index]) throw new RangeError(`timestep ${timestep} is not the next one of the loop`);
    const now = this.levels[this.index]!;
    const next = this.levels[this.index + 1]!;
    const original = this.cleanSample(modelOutput, sample);
    const h = fround(next.lambda - now.lambda);
    const keep = fround(next.noise / now.noise);
    const gain = fround(next.signal * fround(fround(Math.exp(-h)) - 1));

    const result = new Float32Array(sample.length);
    if (this.lastOriginal === undefined || this.firstOrderNow()) {
      for (let i = 0; i < result.length; i++) result[i] = fround(keep * sample[i]!) - fround(gain * original[i]!);
    } else {
      const before = this.levels[this.index - 1]!;
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
    const { euler_at_final: euler, lower_order_final: lower, final_sigmas_type: final } = this.config;
    const isLast = this.index === this.timesteps.length - 1;
    return isLast && (euler || (lower && this.steps < 15) || final === 'zero');
  }
}
