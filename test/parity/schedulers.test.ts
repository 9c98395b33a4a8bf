import { SCHEDULERS, type SchedulerName } from '../../core/recipe.js';
import { createScheduler, parseSchedulerConfig } from '../../engine/inference/schedulers/index.js';
import { golden, maxDifference } from './goldens.js';

interface Trajectory {
  scheduler: string;
  config: object;
  numInferenceSteps: number;
  timesteps: number[];
  initNoiseSigma: number;
  initial: number[];
  latents: number[][];
}
const { trajectories } = golden<{ trajectories: Trajectory[] }>('schedulers');
const ours = trajectories.filter((t) => (SCHEDULERS as readonly string[]).includes(t.scheduler));

/** The model of the goldens: 0.1 * sample + sin(step + index). */
const fakeModel = (sample: Float32Array, step: number): Float32Array =>
  sample.map((x, i) => Math.fround(Math.fround(0.1) * x) + Math.fround(Math.sin(step + i)));

test('the goldens hold every scheduler', () => {
  expect(new Set(ours.map((t) => t.scheduler))).toEqual(new Set(SCHEDULERS));
});

test.each(ours)('$scheduler with $numInferenceSteps steps follows diffusers within a millionth of the largest latent', (trajectory) => {
  // By the class in the configuration and by the recipe's name alike.
  for (const name of [null, trajectory.scheduler as SchedulerName]) {
    const scheduler = createScheduler(parseSchedulerConfig(trajectory.config), name);
    scheduler.setTimesteps(trajectory.numInferenceSteps);
    expect(scheduler.timesteps).toEqual(trajectory.timesteps);
    expect(scheduler.initNoiseSigma).toBe(trajectory.initNoiseSigma);
    let latents: Float32Array = Float32Array.from(trajectory.initial);
    scheduler.timesteps.forEach((t, i) => {
      latents = scheduler.step(fakeModel(scheduler.scaleModelInput(latents, t), i), t, latents);
      const expected = trajectory.latents[i]!;
      // torch's float32 powers are off by an ulp now and then, which differences of logarithms amplify.
      expect(maxDifference(latents, expected) / Math.max(...expected.map(Math.abs))).toBeLessThan(1e-6);
    });
  }
});
