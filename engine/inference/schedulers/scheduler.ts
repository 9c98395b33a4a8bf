/** A sampler in diffusers' terms. Holds the state of one generation: make a new one for each picture. */
export interface Scheduler {
  /** Timesteps of the denoising loop, noisiest first; empty before `setTimesteps`. */
  readonly timesteps: readonly number[];
  /** Standard deviation of the noise that the loop starts from. */
  readonly initNoiseSigma: number;
  /** Lays out the loop. Throws InvalidInput unless 1 <= steps <= the steps of training. */
  setTimesteps(numInferenceSteps: number): void;
  /** What the model is shown at `timestep`. */
  scaleModelInput(sample: Float32Array, timestep: number): Float32Array;
  /** The sample one step less noisy. Arguments and result have one shape, which does not matter; none is changed. */
  step(modelOutput: Float32Array, timestep: number, sample: Float32Array): Float32Array;
  /** What it carries from the last step to the next; `null`: nothing. */
  save(): Float32Array | null;
  /** Goes on after `done` steps, in another process perhaps, as if it had made them. */
  restore(done: number, saved: Float32Array | null): void;
}
