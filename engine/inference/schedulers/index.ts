import { InvalidInput } from '../../../core/errors.js';
import type { SchedulerName } from '../../../core/recipe.js';
import { DdimScheduler } from './ddim.js';
import { DpmSolverMultistepScheduler } from './dpm-solver-multistep.js';
import type { SchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';

export { parseSchedulerConfig, type SchedulerConfig } from './scheduler-config.js';
export type { Scheduler } from './scheduler.js';

interface Entry {
  /** diffusers' class, as it stands in `scheduler_config.json`. */
  className: string;
  create: (config: SchedulerConfig) => Scheduler;
}

/** A new scheduler is one line here. */
export const schedulers: Record<SchedulerName, Entry> = {
  ddim: { className: 'DDIMScheduler', create: (config) => new DdimScheduler(config) },
  'dpmsolver++': { className: 'DPMSolverMultistepScheduler', create: (config) => new DpmSolverMultistepScheduler(config) },
};

/**
 * The scheduler that the recipe names, or (`null`) the one that the model's own configuration names. As diffusers'
 * `from_config`, another class takes over the model's noise schedule, spacing and prediction type.
 * Throws InvalidInput for a class that is not supported.
 */
export function createScheduler(config: SchedulerConfig, name: SchedulerName | null): Scheduler {
  if (name !== null) return schedulers[name].create(config);
  const own = Object.values(schedulers).find((entry) => entry.className === config._class_name);
  if (own) return own.create(config);
  const classes = Object.values(schedulers).map((entry) => entry.className);
  throw new InvalidInput(
    `scheduler ${config._class_name} is not supported (${classes.join(', ')} are); name one in the recipe: generator.scheduler: ${Object.keys(schedulers).join(' or ')}`,
  );
}
