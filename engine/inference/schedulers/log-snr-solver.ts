import { cleanSample, noisySample, type NoiseLevel } from './noise-schedule.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { NoiseSource, Scheduler } from './scheduler.js';
import { karrasSigmas, sigmaAt, timestepAt, trainingSigmas } from './sigmas.js';
import { checkSteps, roundHalfEven, spacedTimesteps } from './timesteps.js';

const { fround } = Math;

/** A place in the loop. */
export interface SolverLevel extends NoiseLevel {
  /** Half the logarithm of the signal-to-noise ratio; infinite without noise. */
  lambda: number;
}

/** What the multistep solvers of order 2 in half-log-SNR (DPM-Solver++, UniPC) share: the loop, and the model's clean samples as its history. */
export abstract class LogSnrSolver implements Scheduler {
  readonly initNoiseSigma = 1;
  timesteps: readonly number[] = [];
  /** At each timestep and after the last one. */
  protected levels: readonly SolverLevel[] = [];
  protected index = 0;
  /** Of the whole loop, those left out included. */
  protected steps = 0;
  private readonly training: Float32Array;

  constructor(protected readonly config: SchedulerConfig) {
    this.training = trainingSigmas(config);
  }

  setTimesteps(numInferenceSteps: number): void {
    checkSteps(numInferenceSteps, this.config.num_train_timesteps);
    const { training } = this;
    let timesteps = spacedTimesteps(this.config, numInferenceSteps, numInferenceSteps + 1).map(roundHalfEven);
    let sigmas = timesteps.map((t) => sigmaAt(training, t));
    if (this.config.use_karras_sigmas) {
      sigmas = karrasSigmas(training.at(-1)!, training[0]!, numInferenceSteps);
      timesteps = sigmas.map((sigma) => roundHalfEven(timestepAt(training, sigma)));
    }
    this.timesteps = timesteps;
    this.steps = numInferenceSteps;
    this.levels = [...sigmas, this.config.final_sigmas_type === 'zero' ? 0 : training[0]!].map(levelAt);
    this.restore(0, []);
  }

  skip(count: number): void {
    this.timesteps = this.timesteps.slice(count);
    this.levels = this.levels.slice(count);
  }

  addNoise(original: Float32Array, noise: Float32Array): Float32Array {
    return noisySample(original, noise, this.levels[0]!);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  abstract save(): Float32Array[];
  abstract restore(done: number, saved: Float32Array[]): void;
  abstract step(modelOutput: Float32Array, timestep: number, sample: Float32Array, noise: NoiseSource): Float32Array;

  protected cleanSample(modelOutput: Float32Array, sample: Float32Array): Float32Array {
    return cleanSample(this.config.prediction_type, modelOutput, sample, this.levels[this.index]!);
  }
}

function levelAt(ratio: number): SolverLevel {
  const sigma = fround(ratio);
  const signal = fround(1 / fround(Math.sqrt(fround(fround(sigma * sigma) + 1))));
  const noise = fround(sigma * signal);
  return { signal, noise, lambda: fround(fround(Math.log(signal)) - fround(Math.log(noise))) };
}
