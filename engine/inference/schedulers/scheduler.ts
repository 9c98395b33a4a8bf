/** The next of a generation's noise, in the sample's shape: one stream for the noise that it starts from and all that a step draws. */
export type NoiseSource = () => Float32Array;

/** A sampler in diffusers' terms. Holds the state of one generation: make a new one for each picture. */
export interface Scheduler {
  /** Timesteps of the denoising loop, noisiest first; empty before `setTimesteps`. One for each evaluation of the model, so more than steps for some. */
  readonly timesteps: readonly number[];
  /** Standard deviation of the noise that the loop starts from; known after `setTimesteps`. */
  readonly initNoiseSigma: number;
  /** Lays out the loop. Throws InvalidInput unless 1 <= steps <= the steps of training, or for a number that this algorithm cannot take. */
  setTimesteps(numInferenceSteps: number): void;
  /** Begins later: leaves out the first `count` timesteps. After `setTimesteps`, before the first step. Throws InvalidInput where this one cannot. */
  skip(count: number): void;
  /** A clean sample with as much noise as the first timestep has. */
  addNoise(original: Float32Array, noise: Float32Array): Float32Array;
  /** What the model is shown at `timestep`. */
  scaleModelInput(sample: Float32Array, timestep: number): Float32Array;
  /** The sample one step less noisy. Arguments and result have one shape, which does not matter; none is changed. */
  step(modelOutput: Float32Array, timestep: number, sample: Float32Array, noise: NoiseSource): Float32Array;
  /** What it carries from the last step to the next, each in the sample's shape. */
  save(): Float32Array[];
  /** Goes on after `done` steps, in another process perhaps, as if it had made them; draws from `noise` what they drew. */
  restore(done: number, saved: Float32Array[], noise: NoiseSource): void;
}
