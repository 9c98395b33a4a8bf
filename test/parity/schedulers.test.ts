import { createHash } from 'node:crypto';
import { createScheduler, parseSchedulerConfig, schedulers } from '../../engine/inference/schedulers/index.js';
import { TorchRandom } from '../../engine/inference/torch-random.js';
import { SCHEDULERS, type SchedulerName } from '../../core/recipe.js';
import { golden, maxDifference } from './goldens.js';

interface Trajectory {
  config: { _class_name: string; use_karras_sigmas?: boolean };
  numInferenceSteps: number;
  timesteps: number[];
  initNoiseSigma: number;
  latents: string;
}
interface Goldens {
  shape: number[];
  kept: number;
  seed: number;
  timesteps: Array<{ class: string; spacing: string; sha256: string }>;
  trajectories: Trajectory[];
}
const { shape, kept, seed, timesteps, trajectories } = golden<Goldens>('schedulers');
const size = shape.reduce((a, b) => a * b);

/** The recipe's names for what a configuration asks for. */
const namesOf = ({ _class_name, use_karras_sigmas: karras = false }: Trajectory['config']): SchedulerName[] =>
  SCHEDULERS.filter((name) => {
    const { type, options } = schedulers[name];
    return type.className === _class_name && (options?.use_karras_sigmas ?? karras) === karras;
  });

/** The model of the goldens: 0.1 * sample + sin(step + index). */
const fakeModel = (sample: Float32Array, step: number): Float32Array =>
  sample.map((x, i) => Math.fround(Math.fround(0.1) * x) + Math.fround(Math.sin(step + i)));

/** Each evaluation's kept values. */
function latentsOf({ latents }: Trajectory): Float32Array[] {
  const numbers = new Float32Array(Uint8Array.from(Buffer.from(latents, 'base64')).buffer);
  const each = Math.ceil(size / kept);
  return Array.from({ length: numbers.length / each }, (_, i) => numbers.slice(i * each, (i + 1) * each));
}

/** Largest difference over the trajectory. */
function distance(trajectory: Trajectory, name: SchedulerName | null): number {
  const scheduler = createScheduler(parseSchedulerConfig(trajectory.config), name);
  scheduler.setTimesteps(trajectory.numInferenceSteps);
  expect(scheduler.timesteps).toHaveLength(trajectory.timesteps.length);
  // Fractions from Karras' sigmas go through numpy's float32 logarithms, which are off by an ulp now and then.
  expect(maxDifference(scheduler.timesteps, trajectory.timesteps)).toBeLessThan(
    trajectory.config.use_karras_sigmas ? 1e-3 : Number.MIN_VALUE,
  );
  expect(Math.abs(scheduler.initNoiseSigma / trajectory.initNoiseSigma - 1)).toBeLessThan(1e-6);
  const random = new TorchRandom(seed);
  const noise = () => random.randn(size);
  const expected = latentsOf(trajectory);
  let latents: Float32Array = noise().map((x) => x * scheduler.initNoiseSigma);
  return Math.max(
    ...scheduler.timesteps.map((t, step) => {
      latents = scheduler.step(fakeModel(scheduler.scaleModelInput(latents, t), step), t, latents, noise);
      const ours = latents.filter((_, i) => i % kept === 0);
      return maxDifference(ours, expected[step]!);
    }),
  );
}

test('the goldens hold every scheduler', () => {
  expect(new Set(trajectories.flatMap(({ config }) => namesOf(config)))).toEqual(new Set(SCHEDULERS));
});

test.each(trajectories.map((one) => ({ ...one, text: JSON.stringify(one.config) })))(
  '$numInferenceSteps steps of $text follow diffusers within 1e-5',
  (trajectory) => {
    // By the class in the configuration and by the recipe's name alike.
    for (const name of [null, ...namesOf(trajectory.config)]) expect(distance(trajectory, name)).toBeLessThan(1e-5);
  },
);

test.each(timesteps)('$class lays out any number of steps as diffusers does, $spacing', ({ class: _class_name, spacing, sha256 }) => {
  const scheduler = createScheduler(parseSchedulerConfig({ _class_name, timestep_spacing: spacing }), null);
  const lines = Array.from({ length: 999 }, (_, i) => {
    scheduler.setTimesteps(i + 1);
    return JSON.stringify(scheduler.timesteps);
  });
  expect(createHash('sha256').update(lines.join('\n')).digest('hex')).toBe(sha256);
});
