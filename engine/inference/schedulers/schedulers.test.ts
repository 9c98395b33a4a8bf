import { InvalidInput } from '../../../core/errors.js';
import { SCHEDULERS, type SchedulerName } from '../../../core/recipe.js';
import { TorchRandom } from '../torch-random.js';
import { createScheduler, parseSchedulerConfig, schedulers, type Scheduler } from './index.js';
import { alphasCumprod, levelOf } from './noise-schedule.js';
import { withDefaults, type SchedulerConfig } from './scheduler-config.js';
import { roundHalfEven } from './timesteps.js';

const STABLE_DIFFUSION = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', clip_sample: false, steps_offset: 1 };
const configOf = (extra: object = {}) => parseSchedulerConfig({ _class_name: 'DDIMScheduler', ...STABLE_DIFFUSION, ...extra });
type Prediction = SchedulerConfig['prediction_type'];

const CLEAN = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i));

/** One generation's stream. */
const noiseOf = (seed: number) => {
  const random = new TorchRandom(seed);
  return () => random.randn(CLEAN.length);
};

/** What has its own file, and what a field makes of it. */
const FORMS: ReadonlyArray<{ form: string; name: SchedulerName; extra: object; most: number }> = [
  ...SCHEDULERS.map((name) => ({ form: name, name, extra: { skip_prk_steps: true }, most: name === 'lcm' ? 50 : 1000 })),
  { form: 'pndm with Runge-Kutta steps', name: 'pndm', extra: { skip_prk_steps: false }, most: 1000 },
  { form: 'euler with Karras sigmas', name: 'euler', extra: { use_karras_sigmas: true }, most: 1000 },
  { form: 'unipc with Karras sigmas', name: 'unipc', extra: { use_karras_sigmas: true }, most: 1000 },
  { form: 'unipc bh1', name: 'unipc', extra: { solver_type: 'bh1' }, most: 1000 },
];

describe.each(FORMS)('$form', ({ name, extra, most }) => {
  const make = (more: object, steps: number): Scheduler => {
    const scheduler = createScheduler(configOf({ ...extra, ...more }), name);
    scheduler.setTimesteps(steps);
    return scheduler;
  };
  const canPredictSample = !['pndm', 'euler_a'].includes(name);

  describe.each(['leading', 'trailing', 'linspace'] as const)('%s spacing', (spacing) => {
    test.each([4, 7, 20, 50, 999].filter((n) => n <= most))('%i steps go down through the steps of training', (n) => {
      const { timesteps } = make({ timestep_spacing: spacing, steps_offset: 0 }, n);
      expect(timesteps.length).toBeGreaterThanOrEqual(n);
      expect(timesteps.filter((t, i) => !(t >= 0 && t < 1000 && t <= (timesteps[i - 1] ?? t)))).toEqual([]);
    });
  });

  test.each(['epsilon', 'v_prediction', 'sample'] as const)(
    'a model that is right about %s leads from noise to the clean sample',
    (type) => {
      const config = { prediction_type: type, set_alpha_to_one: true, timestep_spacing: 'trailing' };
      if (type === 'sample' && !canPredictSample)
        return void expect(() => make(config, 20)).toThrow(/prediction_type sample is not supported/);
      const scheduler = make(config, 20);
      const levels = levelsOf(config);
      const noise = noiseOf(1);
      const start = noise().map((x) => x * scheduler.initNoiseSigma);
      const end = scheduler.timesteps.reduce<Float32Array>((sample, t) => {
        return scheduler.step(truth(type, scheduler.scaleModelInput(sample, t), levels(t)), t, sample, noise);
      }, start);
      // PNDM's mean of several v is that of no one noise.
      const tolerance = name === 'pndm' && type === 'v_prediction' ? 2e-2 : 2e-3;
      end.forEach((x, i) => expect(Math.abs(x - CLEAN[i]!)).toBeLessThan(tolerance));
    },
  );

  test('goes on from any step to the same bits', () => {
    const run = (from: Scheduler, done: number, start: Float32Array, noise: () => Float32Array) => {
      const samples = [start];
      for (const t of from.timesteps.slice(done)) {
        const sample = samples.at(-1)!;
        const output = from.scaleModelInput(sample, t).map((x, i) => 0.1 * x + Math.sin(t + i));
        samples.push(from.step(output, t, sample, noise));
      }
      return samples;
    };
    const noise = noiseOf(3);
    const whole = make({}, 8);
    const expected = run(whole, 0, noise(), noise);
    for (let done = 1; done < whole.timesteps.length; done++) {
      const [before, drawn] = [make({}, 8), noiseOf(3)];
      let sample = drawn();
      for (const t of before.timesteps.slice(0, done)) {
        const output = before.scaleModelInput(sample, t).map((x, i) => 0.1 * x + Math.sin(t + i));
        sample = before.step(output, t, sample, drawn);
      }
      const saved = before.save().map((array) => array.slice());
      saved.forEach((array) => expect(array).toHaveLength(CLEAN.length));
      const [after, again] = [make({}, 8), noiseOf(3)];
      again();
      after.restore(done, saved, again);
      expect(run(after, done, sample, again)).toEqual(expected.slice(done));
    }
  });

  test('a step changes neither argument, and a second layout of the loop begins anew', () => {
    const scheduler = make({}, 5);
    const walk = () =>
      scheduler.timesteps.reduce<Float32Array>((sample, t) => {
        const [output, before] = [CLEAN.map((x) => x / 2), sample.slice()];
        const [outputBefore, next] = [output.slice(), scheduler.step(output, t, sample, noiseOf(5))];
        expect([output, sample]).toEqual([outputBefore, before]);
        return next;
      }, CLEAN);
    const first = walk();
    scheduler.setTimesteps(5);
    expect(walk()).toEqual(first);
  });

  test.each([0, -1, 1.5, 1001, NaN])('%d steps are refused', (n) => {
    expect(() => make({}, n)).toThrow(new RegExp(`num_inference_steps must be a whole number from [14] to ${most}, got`));
  });
});

/** Signal and noise at a timestep, which may be a fraction: between two, the ratio of noise to signal is linear. */
function levelsOf(extra: object): (t: number) => { signal: number; noise: number } {
  const alphas = alphasCumprod(withDefaults(configOf(extra), {}));
  const ratioAt = (t: number) => levelOf(alphas[t]!).noise / levelOf(alphas[t]!).signal;
  return (t) => {
    const [low, high] = [ratioAt(Math.floor(t)), ratioAt(Math.ceil(t))];
    const ratio = low + (high - low) * (t % 1);
    const signal = 1 / Math.hypot(1, ratio);
    return { signal, noise: ratio * signal };
  };
}

/** What a model says that knows the clean sample. */
function truth(type: Prediction, input: Float32Array, { signal, noise }: { signal: number; noise: number }): Float32Array {
  return input.map((x, i) => {
    const clean = CLEAN[i]!;
    const epsilon = (x - signal * clean) / noise;
    return { epsilon, sample: clean, v_prediction: signal * epsilon - noise * clean }[type];
  });
}

test.each(SCHEDULERS)("%s: its class in a model's configuration selects it", (name) => {
  const { className } = schedulers[name].type;
  expect(createScheduler(configOf({ _class_name: className }), null).constructor).toBe(createScheduler(configOf(), name).constructor);
});

test('a class that is not supported is refused with the names of those that are', () => {
  const config = configOf({ _class_name: 'HeunDiscreteScheduler' });
  expect(() => createScheduler(config, null)).toThrow(InvalidInput);
  expect(() => createScheduler(config, null)).toThrow(
    /HeunDiscreteScheduler is not supported \(DDIMScheduler, PNDMScheduler, .*, LCMScheduler are\).*generator.scheduler: ddim or pndm or .* or lcm/,
  );
  expect(() => createScheduler(config, 'ddim')).not.toThrow();
});

test.each([
  [{ prediction_type: 'flow' }, /prediction_type/],
  [{ beta_schedule: 'squaredcos_cap_v2' }, /beta_schedule/],
  ['a text', /expected object/],
])('a configuration whose numbers we could not reproduce is refused: %j', (extra, message) => {
  expect(() => (typeof extra === 'string' ? parseSchedulerConfig(extra) : configOf(extra))).toThrow(message);
});

test('what diffusers writes for fields that are not set is accepted', () => {
  const unset = { trained_betas: null, lambda_min_clipped: -Infinity, disable_corrector: [], use_karras_sigmas: null, sigma_max: null };
  expect(() => createScheduler(configOf(unset), 'unipc')).not.toThrow();
});

test.each<[object, SchedulerName[]]>([
  [{ trained_betas: [0.1] }, [...SCHEDULERS]],
  [{ thresholding: true }, ['ddim', 'dpmsolver++', 'dpmsolver++_karras', 'unipc', 'lcm']],
  [{ variance_type: 'learned_range' }, ['dpmsolver++', 'dpmsolver++_karras']],
  [{ lambda_min_clipped: -5.1 }, ['dpmsolver++', 'dpmsolver++_karras']],
  [{ use_beta_sigmas: true }, ['euler', 'dpmsolver++', 'dpmsolver++_karras', 'unipc']],
  [{ timestep_type: 'continuous' }, ['euler']],
  [{ disable_corrector: [0] }, ['unipc']],
])('%j is refused by the classes that read it in diffusers, and passed over by the others', (extra, refusing) => {
  const field = Object.keys(extra)[0]!;
  for (const name of SCHEDULERS) {
    const make = () => createScheduler(configOf({ ...extra, skip_prk_steps: true }), name);
    if (refusing.includes(name))
      expect(make).toThrow(new RegExp(`scheduler_config.json: ${field} = .* is not supported for ${schedulers[name].type.className}`));
    else expect(make).not.toThrow();
  }
});

test.each([
  ['dpmsolver++', { solver_order: 3 }, /solver_order must be 2, got 3/],
  ['dpmsolver++', { algorithm_type: 'sde-dpmsolver++' }, /algorithm_type must be dpmsolver\+\+, got "sde-dpmsolver\+\+"/],
  ['dpmsolver++', { solver_type: 'heun' }, /solver_type must be midpoint/],
  ['unipc', { solver_order: 3 }, /solver_order must be 2, got 3/],
  ['unipc', { solver_type: 'bh3' }, /solver_type must be bh1 or bh2, got bh3/],
  ['pndm', { rescale_betas_zero_snr: true }, /rescale_betas_zero_snr is not supported/],
  ['lcm', { original_inference_steps: 2000 }, /original_inference_steps 2000 is more than 1000/],
] as const)('%s refuses %j', (name, extra, message) => {
  expect(() => createScheduler(configOf(extra), name)).toThrow(message);
});

test("another solver's type is read as diffusers reads it", () => {
  expect(() => createScheduler(configOf({ solver_type: 'bh2' }), 'dpmsolver++')).not.toThrow();
  expect(() => createScheduler(configOf({ solver_type: 'midpoint' }), 'unipc')).not.toThrow();
  expect(() => createScheduler(configOf({ algorithm_type: 'deis', solver_type: 'logrho' }), 'dpmsolver++')).not.toThrow();
});

test('pndm with Runge-Kutta steps takes four steps at least', () => {
  expect(() => createScheduler(configOf(), 'pndm').setTimesteps(3)).toThrow(/whole number from 4 to 1000, got 3/);
});

test('steps that an offset leads beyond those of training are refused', () => {
  expect(() => createScheduler(configOf(), 'ddim').setTimesteps(1000)).toThrow(
    /num_inference_steps 1000 with steps_offset 1 goes beyond the 1000 steps/,
  );
});

test('trailing spacing ends at a step of training also where a rounded stride would add one below zero', () => {
  const scheduler = createScheduler(configOf({ timestep_spacing: 'trailing' }), 'ddim');
  scheduler.setTimesteps(61);
  expect(scheduler.timesteps).toHaveLength(61);
  expect(scheduler.timesteps.at(-1)).toBe(15);
});

test('ddim clips its estimate of the clean sample where the configuration says so', () => {
  const scheduler = createScheduler(configOf({ clip_sample: true, set_alpha_to_one: true, prediction_type: 'sample' }), 'ddim');
  scheduler.setTimesteps(1);
  const [output, sample] = [Float32Array.of(7, -7), Float32Array.of(0, 0)];
  expect([...scheduler.step(output, scheduler.timesteps[0]!, sample, () => sample)]).toEqual([1, -1]);
});

test('zero terminal SNR leaves no signal at the last step and all of it that there was at the first', () => {
  const [plain, zero] = [false, true].map((rescale_betas_zero_snr) =>
    alphasCumprod(withDefaults(configOf({ rescale_betas_zero_snr }), {})),
  );
  expect(zero!.at(-1)).toBe(0);
  expect(zero![0]).toBeCloseTo(plain![0]!, 6);
});

test('roundHalfEven rounds as numpy does', () => {
  expect([0.5, 1.5, 2.5, 2.4, 2.6, 949.5].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3, 950]);
});
