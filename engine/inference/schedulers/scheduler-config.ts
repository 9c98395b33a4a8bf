import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';

/** Fields that change the numbers and that no scheduler here implements: only these values (diffusers' defaults) are accepted. */
const UNSUPPORTED: Record<string, unknown> = {
  trained_betas: null,
  thresholding: false,
  rescale_betas_zero_snr: false,
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  use_lu_lambdas: false,
  use_flow_sigmas: false,
  lambda_min_clipped: -Infinity,
  variance_type: null,
};

const schema = z.looseObject({
  _class_name: z.string(),
  num_train_timesteps: z.number().int().positive().default(1000),
  beta_start: z.number().positive().default(0.0001),
  beta_end: z.number().positive().default(0.02),
  beta_schedule: z.enum(['linear', 'scaled_linear']).default('linear'),
  timestep_spacing: z.enum(['leading', 'trailing', 'linspace']).optional(),
  steps_offset: z.number().int().nonnegative().default(0),
  set_alpha_to_one: z.boolean().default(true),
  prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']).default('epsilon'),
  clip_sample: z.boolean().default(true),
  clip_sample_range: z.number().positive().default(1),
  algorithm_type: z.string().optional(),
  solver_order: z.number().int().optional(),
  solver_type: z.string().optional(),
  lower_order_final: z.boolean().optional(),
  euler_at_final: z.boolean().default(false),
  final_sigmas_type: z.enum(['zero', 'sigma_min']).default('zero'),
});

/** `scheduler_config.json` with diffusers' defaults filled in; those that differ by class stay open. */
export type SchedulerConfig = z.infer<typeof schema>;

/** Reads the content of a `scheduler_config.json`. Throws InvalidInput naming each field that cannot be used. */
export function parseSchedulerConfig(content: unknown, file = 'scheduler_config.json'): SchedulerConfig {
  const result = schema.safeParse(content);
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  const config = result.data;
  for (const [field, only] of Object.entries(UNSUPPORTED)) {
    const value = config[field];
    if (value !== undefined && value !== null && value !== only) {
      throw new InvalidInput(`${file}: ${field} = ${JSON.stringify(value)} is not supported, only ${JSON.stringify(only)}`);
    }
  }
  return config;
}
