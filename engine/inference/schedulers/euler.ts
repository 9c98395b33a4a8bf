import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';
import type { NoiseSource, Scheduler } from './scheduler.js';
import { karrasSigmas, sigmaAt, timestepAt, trainingSigmas } from './sigmas.js';
import { checkSteps, spacedTimesteps } from './timesteps.js';

const { fround } = Math;
const root = (square: number): number => fround(Math.sqrt(square));
const square = (x: number): number => fround(x * x);

/**
 * Euler steps (Karras et al., arXiv 2206.00364, algorithm 2 without churn): d = (x - x0) / sigma, x' = x + (sigma' - sigma) d, on samples that are the
 * clean one plus sigma times noise; the model is shown them scaled to unit variance. As diffusers' `EulerDiscreteScheduler`, float32 throughout.
 * Timesteps are fractions in `linspace` and with Karras' sigmas.
 */
export class EulerScheduler implements Scheduler {
  static readonly className: string = 'EulerDiscreteScheduler';
  static readonly defaults: Partial<SchedulerConfig> = {};
  static readonly unsupported: readonly UnsupportedField[] = [
    'trained_betas',
    'use_exponential_sigmas',
    'use_beta_sigmas',
    'sigma_min',
    'sigma_max',
    'interpolation_type',
    'timestep_type',
  ];
  timesteps: readonly number[] = [];
  /** At each timestep and after the last one. */
  protected sigmas = new Float32Array();
  protected index = 0;
  private readonly training: Float32Array;

  constructor(protected readonly config: SchedulerConfig) {
    this.training = trainingSigmas(config);
  }

  /** Scaled as the model is shown it where the spacing leaves out the noisiest step. */
  get initNoiseSigma(): number {
    const largest = Math.max(...this.sigmas);
    return this.config.timestep_spacing === 'leading' ? root(fround(square(largest) + 1)) : largest;
  }

  setTimesteps(numInferenceSteps: number): void {
    checkSteps(numInferenceSteps, this.config.num_train_timesteps);
    const { use_karras_sigmas: karras, final_sigmas_type: final } = this.config;
    let timesteps = spacedTimesteps(this.config, numInferenceSteps).map(fround);
    let sigmas = timesteps.map((t) => sigmaAt(this.training, t));
    if (karras) {
      sigmas = karrasSigmas(sigmas[0]!, sigmas.at(-1)!, numInferenceSteps);
      timesteps = sigmas.map((sigma) => fround(timestepAt(this.training, sigma)));
    }
    this.timesteps = timesteps;
    this.sigmas = Float32Array.from([...sigmas, final === 'zero' ? 0 : this.training[0]!]);
    this.index = 0;
  }

  skip(count: number): void {
    this.timesteps = this.timesteps.slice(count);
    this.sigmas = this.sigmas.slice(count);
  }

  addNoise(original: Float32Array, noise: Float32Array): Float32Array {
    return original.map((x, i) => x + fround(noise[i]! * this.sigmas[0]!));
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    const scale = root(fround(square(this.sigmas[this.index]!) + 1));
    return sample.map((x) => x / scale);
  }

  save(): Float32Array[] {
    return [];
  }

  restore(done: number, _saved: Float32Array[], _noise: NoiseSource): void {
    this.index = done;
  }

  step(modelOutput: Float32Array, timestep: number, sample: Float32Array, _noise: NoiseSource): Float32Array {
    const next = this.towards(this.sigmas[this.index + 1]!, modelOutput, sample);
    this.index++;
    return next;
  }

  /** The sample with noise of another sigma, in a straight line. */
  protected towards(target: number, modelOutput: Float32Array, sample: Float32Array): Float32Array {
    const sigma = this.sigmas[this.index]!;
    const variance = fround(square(sigma) + 1);
    const factor = fround(-sigma / root(variance));
    const length = fround(target - sigma);
    return sample.map((x, i) => {
      const output = modelOutput[i]!;
      const x0 = {
        epsilon: fround(x - fround(sigma * output)),
        sample: output,
        v_prediction: fround(fround(output * factor) + fround(x / variance)),
      }[this.config.prediction_type];
      return x + fround(fround(fround(x - x0) / sigma) * length);
    });
  }
}
