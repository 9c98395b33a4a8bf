import { InvalidInput } from '../../../core/errors.js';
import { alphasCumprod, cleanSample, levelOf, noisySample } from './noise-schedule.js';
import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';
import type { NoiseSource, Scheduler } from './scheduler.js';
import { checkSteps } from './timesteps.js';

const { fround } = Math;

/** Standard deviation of the data that the boundary condition reckons with, squared. */
const DATA_VARIANCE = 0.25;

/**
 * Multistep sampling of a latent consistency model (Luo et al., arXiv 2310.04378, algorithm 3): the consistency function
 * f(x, t) = c_skip(t) x + c_out(t) x0 leads to a clean sample in one step, which is made noisy again for the next one: x' = sqrt(a') f + sqrt(1 - a') noise.
 * As diffusers' `LCMScheduler`, float32 throughout.
 */
export class LcmScheduler implements Scheduler {
  static readonly className = 'LCMScheduler';
  static readonly defaults: Partial<SchedulerConfig> = {
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    timestep_spacing: 'leading',
  };
  static readonly unsupported: readonly UnsupportedField[] = ['trained_betas', 'thresholding'];
  readonly initNoiseSigma = 1;
  timesteps: readonly number[] = [];
  private readonly alphas: Float32Array;
  private index = 0;

  /** Throws InvalidInput for more steps of distillation than of training. */
  constructor(private readonly config: SchedulerConfig) {
    const { num_train_timesteps: total, original_inference_steps: original } = config;
    if (original > total)
      throw new InvalidInput(`LCMScheduler: original_inference_steps ${original} is more than ${total} steps of training`);
    this.alphas = alphasCumprod(config);
  }

  /** Some of the steps that the model was distilled with, whatever the spacing. */
  setTimesteps(numInferenceSteps: number): void {
    const { num_train_timesteps: total, original_inference_steps: original } = this.config;
    checkSteps(numInferenceSteps, original);
    const stride = Math.floor(total / original);
    const taken = original / numInferenceSteps;
    this.timesteps = Array.from({ length: numInferenceSteps }, (_, i) => (original - Math.floor(i * taken)) * stride - 1);
    this.index = 0;
  }

  skip(count: number): void {
    this.timesteps = this.timesteps.slice(count);
  }

  addNoise(original: Float32Array, noise: Float32Array): Float32Array {
    return noisySample(original, noise, levelOf(this.alphas[this.timesteps[0]!]!));
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  save(): Float32Array[] {
    return [];
  }

  restore(done: number, _saved: Float32Array[], noise: NoiseSource): void {
    this.index = done;
    for (let i = 0; i < done; i++) noise();
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array, noise: NoiseSource): Float32Array {
    const { prediction_type: prediction, clip_sample: clip, clip_sample_range: range, timestep_scaling: scaling } = this.config;
    const original = cleanSample(prediction, modelOutput, sample, levelOf(this.alphas[timestep]!));
    const scaled = fround(timestep * scaling);
    const spread = fround(fround(scaled * scaled) + DATA_VARIANCE);
    const skip = fround(DATA_VARIANCE / spread);
    const out = fround(scaled / fround(Math.sqrt(spread)));
    const denoised = original.map((x0, i) => fround(out * (clip ? Math.min(range, Math.max(-range, x0)) : x0)) + fround(skip * sample[i]!));
    this.index++;
    if (this.index === this.timesteps.length) return denoised;
    const next = levelOf(this.alphas[this.timesteps[this.index]!]!);
    const drawn = noise();
    return denoised.map((x, i) => fround(next.signal * x) + fround(next.noise * drawn[i]!));
  }
}
