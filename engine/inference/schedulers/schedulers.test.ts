import { InvalidInput } from '../../../core/errors.js';
import { SCHEDULERS } from '../../../core/recipe.js';
import { createScheduler, parseSchedulerConfig, schedulers } from './index.js';
import { alphasCumprod, roundHalfEven } from './noise-schedule.js';

const STABLE_DIFFUSION = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', clip_sample: false, steps_offset: 1 };
const configOf = (extra: object = {}) => parseSchedulerConfig({ _class_name: 'DDIMScheduler', ...STABLE_DIFFUSION, ...extra });

const CLEAN = Float32Array.of(0.5, -1.25, 2, 0);
const NOISE = Float32Array.of(1, -0.5, 0.25, -2);

describe.each(SCHEDULERS)('%s', (name) => {
  describe.each(['leading', 'trailing', 'linspace'] as const)('%s spacing', (spacing) => {
    test.each([1, 2, 7, 20, 50, 999])('%i steps go down through the steps of training', (n) => {
      const scheduler = createScheduler(configOf({ timestep_spacing: spacing, steps_offset: 0 }), name);
      scheduler.setTimesteps(n);
      expect(scheduler.timesteps).toHaveLength(n);
      scheduler.timesteps.forEach((t, i) => {
        expect(Number.isInteger(t) && t >= 0 && t < 1000).toBe(true);
        if (i > 0) expect(t).toBeLessThanOrEqual(scheduler.timesteps[i - 1]!);
      });
    });
  });

  test.each(['epsilon', 'v_prediction', 'sample'] as const)(
    'a model that is right about %s leads back to the clean sample',
    (prediction) => {
      const config = configOf({ prediction_type: prediction, set_alpha_to_one: true });
      const alphas = alphasCumprod(config);
      const scheduler = createScheduler(config, name);
      scheduler.setTimesteps(20);
      const at = (t: number) => ({ signal: Math.sqrt(alphas[t]!), noise: Math.sqrt(1 - alphas[t]!) });
      const first = at(scheduler.timesteps[0]!);
      let sample: Float32Array = CLEAN.map((x, i) => first.signal * x + first.noise * NOISE[i]!);
      for (const t of scheduler.timesteps) {
        const { signal, noise } = at(t);
        const output = { epsilon: NOISE, sample: CLEAN, v_prediction: CLEAN.map((x, i) => signal * NOISE[i]! - noise * x) }[prediction];
        sample = scheduler.step(output, t, scheduler.scaleModelInput(sample, t));
      }
      sample.forEach((x, i) => expect(x).toBeCloseTo(CLEAN[i]!, 3));
    },
  );

  test('step changes neither argument', () => {
    const scheduler = createScheduler(configOf(), name);
    scheduler.setTimesteps(2);
    const [output, sample] = [NOISE.slice(), CLEAN.slice()];
    scheduler.step(output, scheduler.timesteps[0]!, sample);
    expect([output, sample]).toEqual([NOISE, CLEAN]);
  });

  test.each([0, -1, 1.5, 1001, NaN])('%d steps are refused', (n) => {
    expect(() => createScheduler(configOf(), name).setTimesteps(n)).toThrow(/num_inference_steps must be a whole number from 1 to 1000/);
  });

  test('its class in a configuration selects it', () => {
    const { className } = schedulers[name];
    expect(createScheduler(configOf({ _class_name: className }), null).constructor).toBe(createScheduler(configOf(), name).constructor);
  });
});

test('a class that is not supported is refused with the names of those that are', () => {
  const config = configOf({ _class_name: 'PNDMScheduler' });
  expect(() => createScheduler(config, null)).toThrow(InvalidInput);
  expect(() => createScheduler(config, null)).toThrow(
    /PNDMScheduler is not supported \(DDIMScheduler, DPMSolverMultistepScheduler are\).*generator.scheduler: ddim or dpmsolver\+\+/,
  );
  expect(() => createScheduler(config, 'ddim')).not.toThrow();
});

test.each([
  [{ thresholding: true }, /thresholding = true is not supported/],
  [{ trained_betas: [0.1] }, /trained_betas/],
  [{ prediction_type: 'flow' }, /prediction_type/],
  [{ beta_schedule: 'squaredcos_cap_v2' }, /beta_schedule/],
])('a configuration whose numbers we could not reproduce is refused: %j', (extra, message) => {
  expect(() => configOf(extra)).toThrow(message);
});

test('another algorithm or order of DPM-Solver is refused', () => {
  expect(() => createScheduler(configOf({ solver_order: 3 }), 'dpmsolver++')).toThrow(/solver_order must be 2, got 3/);
  expect(() => createScheduler(configOf({ algorithm_type: 'sde-dpmsolver++' }), 'dpmsolver++')).toThrow(/algorithm_type/);
});

test('ddim clips its estimate of the clean sample where the configuration says so', () => {
  const scheduler = createScheduler(configOf({ clip_sample: true, set_alpha_to_one: true, prediction_type: 'sample' }), 'ddim');
  scheduler.setTimesteps(1);
  expect([...scheduler.step(Float32Array.of(7, -7), scheduler.timesteps[0]!, Float32Array.of(0, 0))]).toEqual([1, -1]);
});

test('roundHalfEven rounds as numpy does', () => {
  expect([0.5, 1.5, 2.5, 2.4, 2.6, 949.5].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3, 950]);
});
