import { InvalidInput } from '../../../core/errors.js';
import { alphasCumprod, levelOf, noisySample } from './noise-schedule.js';
import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { checkSteps, roundHalfEven, spacedTimesteps } from './timesteps.js';

const { fround } = Math;
const sqrt = (x: number): number => fround(Math.sqrt(x));

/** Weights of the newest output and those before it: Adams-Bashforth of order 1 to 4 (equation 12 is the last). */
const ADAMS_BASHFORTH: ReadonlyArray<{ weights: readonly number[]; divisor: number }> = [
  { weights: [1], divisor: 1 },
  { weights: [3, -1], divisor: 2 },
  { weights: [23, -16, 5], divisor: 12 },
  { weights: [55, -59, 37, -9], divisor: 24 },
];
/** Weights of the four evaluations of a Runge-Kutta step (equation 13), and how many such steps come first. */
const RUNGE_KUTTA = [1 / 6, 1 / 3, 1 / 3, 1 / 6].map(fround);
const WARM_UP_STEPS = 3;

/**
 * Pseudo numerical methods (Liu et al., arXiv 2202.09778): a linear multistep of order 4 over the model's outputs (equation 12), each carried
 * to the next timestep by x' = sqrt(a' / a) x - (a' - a) e / (a sqrt(1 - a') + sqrt(a (1 - a) a')) (equation 9). As diffusers' `PNDMScheduler`, float32 throughout, in both of its forms:
 * three Runge-Kutta steps of four evaluations each first (F-PNDM), or with `skip_prk_steps`, as Stable Diffusion has it, one improved Euler step (S-PNDM's).
 */
export class PndmScheduler implements Scheduler {
  static readonly className = 'PNDMScheduler';
  static readonly defaults: Partial<SchedulerConfig> = { timestep_spacing: 'leading', set_alpha_to_one: false };
  static readonly unsupported: readonly UnsupportedField[] = ['trained_betas'];
  readonly initNoiseSigma = 1;
  timesteps: readonly number[] = [];
  private readonly alphas: Float32Array;
  private readonly finalAlpha: number;
  /** Between two neighbouring timesteps. */
  private stride = 0;
  private index = 0;
  /** Of the steps before, oldest first, at most three. */
  private outputs: Float32Array[] = [];
  /** Of a step that takes several evaluations: the sample that it began with, and for Runge-Kutta the weighted outputs so far. */
  private open: Float32Array[] = [];

  /** Throws InvalidInput for what diffusers' class cannot do either. */
  constructor(private readonly config: SchedulerConfig) {
    if (config.prediction_type === 'sample') throw new InvalidInput('PNDMScheduler: prediction_type sample is not supported');
    if (config.rescale_betas_zero_snr) throw new InvalidInput('PNDMScheduler: rescale_betas_zero_snr is not supported');
    this.alphas = alphasCumprod(config);
    this.finalAlpha = config.set_alpha_to_one ? 1 : this.alphas[0]!;
  }

  setTimesteps(numInferenceSteps: number): void {
    const { num_train_timesteps: total, skip_prk_steps: skip } = this.config;
    checkSteps(numInferenceSteps, total, skip ? 1 : WARM_UP_STEPS + 1);
    this.stride = Math.floor(total / numInferenceSteps);
    const steps = spacedTimesteps(this.config, numInferenceSteps).map(roundHalfEven);
    // The second timestep comes twice (improved Euler); or each Runge-Kutta step is begun, evaluated twice in its middle and once at its end.
    const improved = [...steps.slice(0, 2), ...steps.slice(1)];
    const rungeKutta = steps.slice(1, WARM_UP_STEPS + 1).flatMap((next, i) => {
      const middle = next + Math.floor(this.stride / 2);
      return [steps[i]!, middle, middle, next];
    });
    this.timesteps = skip ? improved : [...rungeKutta, ...steps.slice(WARM_UP_STEPS)];
    this.restore(0, []);
  }

  skip(count: number): void {
    if (count > 0 && !this.config.skip_prk_steps)
      throw new InvalidInput('pndm without skip_prk_steps cannot begin later than with noise: name another scheduler, or strength 1');
    this.timesteps = this.timesteps.slice(count);
  }

  addNoise(original: Float32Array, noise: Float32Array): Float32Array {
    return noisySample(original, noise, levelOf(this.alphas[this.timesteps[0]!]!));
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  save(): Float32Array[] {
    return [...this.open, ...this.outputs];
  }

  restore(done: number, saved: Float32Array[]): void {
    this.index = done;
    const open = this.isImprovement ? 1 : this.isRungeKutta && done % 4 > 0 ? 2 : 0;
    this.open = saved.slice(0, open);
    this.outputs = saved.slice(open);
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    if (timestep !== this.timesteps[this.index]) throw new RangeError(`timestep ${timestep} is not the next one of the loop`);
    const next = this.isRungeKutta ? this.rungeKutta(modelOutput, timestep, sample) : this.multistep(modelOutput, timestep, sample);
    this.index++;
    return next;
  }

  private get isRungeKutta(): boolean {
    return !this.config.skip_prk_steps && this.index < 4 * WARM_UP_STEPS;
  }

  /** Whether this evaluation only makes the first step better. */
  private get isImprovement(): boolean {
    return this.config.skip_prk_steps && this.index === 1;
  }

  private rungeKutta(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    const stage = this.index % 4;
    if (stage === 0) {
      this.keep(modelOutput);
      this.open = [sample, new Float32Array(sample.length)];
    }
    const [start, sum] = this.open as [Float32Array, Float32Array];
    const weighted = sum.map((total, i) => total + fround(RUNGE_KUTTA[stage]! * modelOutput[i]!));
    this.open = stage === 3 ? [] : [start, weighted];
    const to = stage % 2 === 0 ? timestep - Math.floor(this.stride / 2) : timestep;
    return this.transfer(start, this.timesteps[this.index - stage]!, to, stage === 3 ? weighted : modelOutput);
  }

  private multistep(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    if (this.isImprovement) {
      const [start] = this.open as [Float32Array];
      this.open = [];
      const mean = modelOutput.map((output, i) => fround(output + this.outputs[0]![i]!) / 2);
      return this.transfer(start, timestep + this.stride, timestep, mean);
    }
    if (this.config.skip_prk_steps && this.index === 0) this.open = [sample];
    const newestFirst = [modelOutput, ...this.outputs.toReversed()];
    this.keep(modelOutput);
    const { weights, divisor } = ADAMS_BASHFORTH[newestFirst.length - 1]!;
    const sum = newestFirst.reduce(
      (total, output, k) => total.map((x, i) => x + fround(weights[k]! * output[i]!)),
      new Float32Array(sample.length),
    );
    return this.transfer(
      sample,
      timestep,
      timestep - this.stride,
      sum.map((x) => x / divisor),
    );
  }

  private keep(output: Float32Array): void {
    this.outputs = [...this.outputs, output].slice(-3);
  }

  /** Equation 9: the sample at `from`, carried to `to` along the model's output. */
  private transfer(sample: Float32Array, from: number, to: number, modelOutput: Float32Array): Float32Array {
    const alpha = this.alphas[from]!;
    const alphaNext = to >= 0 ? this.alphas[to]! : this.finalAlpha;
    const { signal, noise } = levelOf(alpha);
    const keep = sqrt(fround(alphaNext / alpha));
    const step = fround(alphaNext - alpha);
    const mean = sqrt(fround(fround(alpha * fround(1 - alpha)) * alphaNext));
    const divisor = fround(fround(alpha * levelOf(alphaNext).noise) + mean);
    const isV = this.config.prediction_type === 'v_prediction';
    return sample.map((x, i) => {
      const output = modelOutput[i]!;
      const epsilon = isV ? fround(fround(signal * output) + fround(noise * x)) : output;
      return fround(keep * x) - fround(fround(step * epsilon) / divisor);
    });
  }
}
