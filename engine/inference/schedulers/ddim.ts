import { alphasCumprod, checkSteps, roundHalfEven } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';

const { fround } = Math;
const sqrt = (x: number): number => fround(Math.sqrt(x));

/**
 * DDIM (Song et al., arXiv 2010.02502), equation 12 with eta 0: deterministic.
 * As diffusers' `DDIMScheduler`, float32 throughout.
 */
export class DdimScheduler implements Scheduler {
  readonly initNoiseSigma = 1;
  timesteps: readonly number[] = [];
  private readonly alphas: Float32Array;
  private readonly finalAlpha: number;

  constructor(private readonly config: SchedulerConfig) {
    this.alphas = alphasCumprod(config);
    this.finalAlpha = config.set_alpha_to_one ? 1 : this.alphas[0]!;
  }

  setTimesteps(numInferenceSteps: number): void {
    checkSteps(numInferenceSteps, this.config);
    this.timesteps = timestepsOf(this.config, numInferenceSteps);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  save(): null {
    return null;
  }

  restore(): void {
    // A step needs nothing of those before it.
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array {
    const previous = timestep - Math.floor(this.config.num_train_timesteps / this.timesteps.length);
    const alpha = this.alphas[timestep]!;
    const alphaPrevious = previous >= 0 ? this.alphas[previous]! : this.finalAlpha;
    const [signal, noise] = [sqrt(alpha), sqrt(fround(1 - alpha))];
    const [signalPrevious, noisePrevious] = [sqrt(alphaPrevious), sqrt(fround(1 - alphaPrevious))];
    const { prediction_type: prediction, clip_sample: clip, clip_sample_range: range } = this.config;

    const result = new Float32Array(sample.length);
    for (let i = 0; i < result.length; i++) {
      const [x, output] = [sample[i]!, modelOutput[i]!];
      let original: number;
      let epsilon: number;
      switch (prediction) {
        case 'epsilon':
          original = fround(fround(x - fround(noise * output)) / signal);
          epsilon = output;
          break;
        case 'sample':
          original = output;
          epsilon = fround(fround(x - fround(signal * original)) / noise);
          break;
        case 'v_prediction':
          original = fround(fround(signal * x) - fround(noise * output));
          epsilon = fround(fround(signal * output) + fround(noise * x));
          break;
      }
      if (clip) original = Math.min(range, Math.max(-range, original));
      result[i] = fround(signalPrevious * original) + fround(noisePrevious * epsilon);
    }
    return result;
  }
}

function timestepsOf(config: SchedulerConfig, n: number): number[] {
  const { num_train_timesteps: total, steps_offset: offset } = config;
  switch (config.timestep_spacing ?? 'leading') {
    case 'leading': {
      const ratio = Math.floor(total / n);
      return Array.from({ length: n }, (_, i) => (n - 1 - i) * ratio + offset);
    }
    case 'trailing':
      return Array.from({ length: n }, (_, i) => roundHalfEven(total - i * (total / n)) - 1);
    case 'linspace':
      return Array.from({ length: n }, (_, i) => roundHalfEven(n > 1 ? ((n - 1 - i) * (total - 1)) / (n - 1) : 0));
  }
}
