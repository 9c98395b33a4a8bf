import { InvalidInput } from '../../../core/errors.js';
import { LogSnrSolver, type SolverLevel } from './log-snr-solver.js';
import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';

const { fround } = Math;

/** Names of other solvers that diffusers reads as `bh2`. */
const SOLVER_TYPES = ['bh1', 'bh2', 'midpoint', 'heun', 'logrho'];

/**
 * UniPC of order 2 (Zhao et al., arXiv 2302.04867, algorithms 1 and 2, in terms of the clean sample x0): each step first corrects the sample that it was
 * given (UniC), with the model's output there, then predicts the next one (UniP), both by
 * x' = (sigma' / sigma) x - alpha' (e^-h - 1) x0 - alpha' B(h) sum_k rho_k (x0_k - x0) / r_k, where B(h) is -h (`bh1`) or e^-h - 1 (`bh2`).
 * As diffusers' `UniPCMultistepScheduler`, float32 throughout.
 */
export class UniPcMultistepScheduler extends LogSnrSolver {
  static readonly className = 'UniPCMultistepScheduler';
  static readonly defaults: Partial<SchedulerConfig> = { solver_type: 'bh2' };
  static readonly unsupported: readonly UnsupportedField[] = [
    'trained_betas',
    'thresholding',
    'use_exponential_sigmas',
    'use_beta_sigmas',
    'use_flow_sigmas',
    'sigma_min',
    'sigma_max',
    'predict_x0',
    'disable_corrector',
    'solver_p',
  ];
  /** The sample that the last step began with, corrected, and the model's estimates of the clean one there and a step before. */
  private last: Float32Array[] = [];

  /** Throws InvalidInput for another order than the one implemented. */
  constructor(config: SchedulerConfig) {
    super(config);
    const { solver_order: order, solver_type: type } = config;
    if (order !== 2) throw new InvalidInput(`UniPCMultistepScheduler: solver_order must be 2, got ${order}`);
    if (!SOLVER_TYPES.includes(type)) throw new InvalidInput(`UniPCMultistepScheduler: solver_type must be bh1 or bh2, got ${type}`);
  }

  save(): Float32Array[] {
    return this.last;
  }

  restore(done: number, saved: Float32Array[]): void {
    this.index = done;
    this.last = saved;
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    if (timestep !== this.timesteps[this.index]) throw new RangeError(`timestep ${timestep} is not the next one of the loop`);
    const original = this.cleanSample(modelOutput, sample);
    const corrected = this.index > 0 ? this.correct(original) : sample;
    const predicted = this.predict(corrected, original);
    this.last = [corrected, original, ...this.last.slice(1, 2)];
    this.index++;
    return predicted;
  }

  /** UniP: from this place to the next. */
  private predict(sample: Float32Array, original: Float32Array): Float32Array {
    const [now, next] = [this.levels[this.index]!, this.levels[this.index + 1]!];
    const { base, gain } = this.exponential(now, next);
    const straight = base(sample, original);
    if (this.orderAt(this.index) === 1) return straight;
    const before = this.last[1]!;
    const ratio = this.ratio(this.levels[this.index - 1]!, now, next);
    return straight.map((x, i) => {
      const slope = fround(fround(before[i]! - original[i]!) / ratio);
      return x - fround(gain * fround(0.5 * slope));
    });
  }

  /** UniC: the step that led here once more, with what the model says here. */
  private correct(original: Float32Array): Float32Array {
    const [start, lastOriginal, before] = this.last as [Float32Array, Float32Array, Float32Array?];
    const [from, now] = [this.levels[this.index - 1]!, this.levels[this.index]!];
    const { base, gain, moments } = this.exponential(from, now);
    const straight = base(start, lastOriginal);
    if (before === undefined || this.orderAt(this.index - 1) === 1) {
      return straight.map((x, i) => x - fround(gain * fround(0.5 * fround(original[i]! - lastOriginal[i]!))));
    }
    const ratio = this.ratio(this.levels[this.index - 2]!, from, now);
    // [[1, 1], [ratio, 1]] weights = moments
    const weightBefore = fround(fround(moments[0] - moments[1]) / fround(1 - ratio));
    const weightHere = fround(moments[0] - weightBefore);
    return straight.map((x, i) => {
      const slope = fround(fround(before[i]! - lastOriginal[i]!) / ratio);
      const here = fround(weightHere * fround(original[i]! - lastOriginal[i]!));
      return x - fround(gain * fround(fround(weightBefore * slope) + here));
    });
  }

  /** Of the step that starts at `index`: first at the beginning, and at the end unless the configuration forbids it or the target has no noise. */
  private orderAt(index: number): 1 | 2 {
    const isLast = index === this.timesteps.length - 1;
    const { lower_order_final: lower, final_sigmas_type: final } = this.config;
    return index === 0 || (isLast && (lower || final === 'zero')) ? 1 : 2;
  }

  /** r of the place before a step, in units of the step. */
  private ratio(before: SolverLevel, from: SolverLevel, to: SolverLevel): number {
    return fround(fround(before.lambda - from.lambda) / fround(to.lambda - from.lambda));
  }

  /** The exact part of a step, the factor of the rest, and what the weights of UniC add up to. */
  private exponential(from: SolverLevel, to: SolverLevel) {
    const h = fround(-fround(to.lambda - from.lambda));
    const phi1 = fround(Math.expm1(h));
    const scale = this.config.solver_type === 'bh1' ? h : phi1;
    const keep = fround(to.noise / from.noise);
    const pull = fround(to.signal * phi1);
    const phi2 = fround(fround(phi1 / h) - 1);
    const phi3 = fround(fround(phi2 / h) - 0.5);
    return {
      base: (sample: Float32Array, original: Float32Array) => sample.map((x, i) => fround(keep * x) - fround(pull * original[i]!)),
      gain: fround(to.signal * scale),
      moments: [fround(phi2 / scale), fround(fround(phi3 * 2) / scale)] as const,
    };
  }
}
