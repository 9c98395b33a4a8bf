import { alphasCumprod, cleanSample, levelOf, noisySample } from './noise-schedule.js';
import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { checkSteps, roundHalfEven, spacedTimesteps } from './timesteps.js';

const { fround } = Math;

/**
 * DDIM (Song et al., arXiv 2010.02502), equation 12 with eta 0, deterministic:
 * x' = sqrt(a') x0 + sqrt(1 - a') eps. As diffusers' `DDIMScheduler`, float32 throughout.
 */
export class DdimScheduler implements Scheduler {
  static readonly className = 'DDIMScheduler';
  static readonly defaults: Partial<SchedulerConfig> = { timestep_spacing: 'leading', clip_sample: true };
  static readonly unsupported: readonly UnsupportedField[] = ['trained_betas', 'thresholding'];
  readonly initNoiseSigma = 1;
  timesteps: readonly number[] = [];
  private readonly alphas: Float32Array;
  private readonly finalAlpha: number;
  /** Between two neighbouring timesteps. */
  private stride = 0;

  constructor(private readonly config: SchedulerConfig) {
    this.alphas = alphasCumprod(config);
    this.finalAlpha = config.set_alpha_to_one ? 1 : this.alphas[0]!;
  }

  setTimesteps(numInferenceSteps: number): void {
    checkSteps(numInferenceSteps, this.config.num_train_timesteps);
    this.timesteps = spacedTimesteps(this.config, numInferenceSteps).map(roundHalfEven);
    this.stride = Math.floor(this.config.num_train_timesteps / numInferenceSteps);
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

  restore(): void {
    // A step needs nothing of those before it.
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    const { prediction_type: prediction, clip_sample: clip, clip_sample_range: range } = this.config;
    const previous = timestep - this.stride;
    const now = levelOf(this.alphas[timestep]!);
    const next = levelOf(previous >= 0 ? this.alphas[previous]! : this.finalAlpha);
    const original = cleanSample(prediction, modelOutput, sample, now);
    return original.map((x0, i) => {
      const [x, output] = [sample[i]!, modelOutput[i]!];
      const epsilon = {
        epsilon: output,
        sample: fround(fround(x - fround(now.signal * x0)) / now.noise),
        v_prediction: fround(fround(now.signal * output) + fround(now.noise * x)),
      }[prediction];
      return fround(next.signal * (clip ? Math.min(range, Math.max(-range, x0)) : x0)) + fround(next.noise * epsilon);
    });
  }
}
