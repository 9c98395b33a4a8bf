import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import { readModelJson } from '../model-json.js';

/** Fields that change the numbers where a class reads them, and that no scheduler here implements: only these values (diffusers' defaults) are accepted. */
const UNSUPPORTED = {
  trained_betas: null,
  thresholding: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  use_lu_lambdas: false,
  use_flow_sigmas: false,
  sigma_min: null,
  sigma_max: null,
  interpolation_type: 'linear',
  timestep_type: 'discrete',
  lambda_min_clipped: -Infinity,
  variance_type: null,
  predict_x0: true,
  disable_corrector: [],
  solver_p: null,
};
export type UnsupportedField = keyof typeof UNSUPPORTED;

const fields = z.object({
  num_train_timesteps: z.number().int().positive(),
  beta_start: z.number().positive(),
  beta_end: z.number().positive(),
  beta_schedule: z.enum(['linear', 'scaled_linear']),
  rescale_betas_zero_snr: z.boolean(),
  timestep_spacing: z.enum(['leading', 'trailing', 'linspace']),
  steps_offset: z.number().int().nonnegative(),
  prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']),
  set_alpha_to_one: z.boolean(),
  clip_sample: z.boolean(),
  clip_sample_range: z.number().positive(),
  skip_prk_steps: z.boolean(),
  algorithm_type: z.string(),
  solver_order: z.number().int(),
  solver_type: z.string(),
  lower_order_final: z.boolean(),
  euler_at_final: z.boolean(),
  use_karras_sigmas: z.boolean(),
  final_sigmas_type: z.enum(['zero', 'sigma_min']),
  original_inference_steps: z.number().int().positive(),
  timestep_scaling: z.number(),
});

/** Everything that a scheduler may ask for, in diffusers' names. */
export type SchedulerConfig = z.infer<typeof fields>;

/** diffusers' defaults; what differs by class is in the class. */
const DEFAULTS: SchedulerConfig = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
  rescale_betas_zero_snr: false,
  timestep_spacing: 'linspace',
  steps_offset: 0,
  prediction_type: 'epsilon',
  set_alpha_to_one: true,
  clip_sample: false,
  clip_sample_range: 1,
  skip_prk_steps: false,
  algorithm_type: 'dpmsolver++',
  solver_order: 2,
  solver_type: 'midpoint',
  lower_order_final: true,
  euler_at_final: false,
  use_karras_sigmas: false,
  final_sigmas_type: 'zero',
  original_inference_steps: 50,
  timestep_scaling: 10,
};

const schema = z.looseObject({ _class_name: z.string(), ...fields.partial().shape });

/** A `scheduler_config.json` as it stands: what it leaves out is a default of the scheduler that is made from it. */
export interface SchedulerFile {
  /** Its path, for messages. */
  file: string;
  content: z.infer<typeof schema>;
}

/** Reads the content of a `scheduler_config.json`. Throws InvalidInput naming each field that cannot be used. */
export function parseSchedulerConfig(content: unknown, file = 'scheduler_config.json'): SchedulerFile {
  const result = schema.safeParse(withoutNulls(content));
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  return { file, content: result.data };
}

/** Throws InvalidInput for a value of a field that diffusers' class reads and that is not implemented here; the others' fields it passes over, as diffusers does. */
export function checkSupported({ file, content }: SchedulerFile, className: string, reads: readonly UnsupportedField[]): void {
  for (const field of reads) {
    const [value, only] = [content[field], UNSUPPORTED[field]];
    if (value === undefined || JSON.stringify(value) === JSON.stringify(only)) continue;
    throw new InvalidInput(
      `${file}: ${field} = ${JSON.stringify(value)} is not supported for ${className}, only ${JSON.stringify(only)}; name another scheduler in the recipe: generator.scheduler`,
    );
  }
}

/** Of a generator's folder. Throws InvalidInput naming the file, and each field that cannot be used. */
export async function readSchedulerFile(folder: string): Promise<SchedulerFile> {
  const file = join(folder, 'scheduler', 'scheduler_config.json');
  return parseSchedulerConfig(await readModelJson(file), file);
}

/** The file's fields over the defaults of a class, as diffusers' `from_config`. */
export function withDefaults({ content }: SchedulerFile, ofClass: Partial<SchedulerConfig>): SchedulerConfig {
  return { ...DEFAULTS, ...ofClass, ...fields.partial().parse(content) };
}

/** diffusers writes `null` for a field that is not set. */
function withoutNulls(content: unknown): unknown {
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return content;
  return Object.fromEntries(Object.entries(content).filter(([, value]) => value !== null));
}
