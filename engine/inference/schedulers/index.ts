import { InvalidInput } from '../../../core/errors.js';
import type { SchedulerName } from '../../../core/recipe.js';
import { DdimScheduler } from './ddim.js';
import { DpmSolverMultistepScheduler } from './dpm-solver-multistep.js';
import { EulerAncestralScheduler } from './euler-ancestral.js';
import { EulerScheduler } from './euler.js';
import { LcmScheduler } from './lcm.js';
import { PndmScheduler } from './pndm.js';
import { checkSupported, withDefaults, type SchedulerConfig, type SchedulerFile, type UnsupportedField } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';
import { UniPcMultistepScheduler } from './unipc-multistep.js';

export { parseSchedulerConfig, readSchedulerFile, type SchedulerFile } from './scheduler-config.js';
export type { NoiseSource, Scheduler } from './scheduler.js';

interface SchedulerClass {
  new (config: SchedulerConfig): Scheduler;
  /** diffusers' class, as it stands in `scheduler_config.json`. */
  readonly className: string;
  /** Where diffusers' class has other defaults than the rest. */
  readonly defaults: Partial<SchedulerConfig>;
  /** Fields that diffusers' class reads and this one does not implement. */
  readonly unsupported: readonly UnsupportedField[];
}

interface Entry {
  type: SchedulerClass;
  /** What the name asks for, whatever the model's configuration says. */
  options?: Partial<SchedulerConfig>;
}

/** A new scheduler is one line here. */
export const schedulers: Record<SchedulerName, Entry> = {
  ddim: { type: DdimScheduler },
  pndm: { type: PndmScheduler },
  euler: { type: EulerScheduler },
  euler_a: { type: EulerAncestralScheduler },
  'dpmsolver++': { type: DpmSolverMultistepScheduler },
  'dpmsolver++_karras': { type: DpmSolverMultistepScheduler, options: { use_karras_sigmas: true } },
  unipc: { type: UniPcMultistepScheduler },
  lcm: { type: LcmScheduler },
};

/**
 * The scheduler that the recipe names, or (`null`) the one that the model's own configuration names. As diffusers'
 * `from_config`, another class takes over the model's noise schedule, spacing and prediction type.
 * Throws InvalidInput for a class that is not supported, or a configuration that it cannot follow.
 */
export function createScheduler(file: SchedulerFile, name: SchedulerName | null): Scheduler {
  const entries = Object.values(schedulers);
  const entry = name !== null ? schedulers[name] : entries.find(({ type }) => type.className === file.content._class_name);
  if (entry) {
    checkSupported(file, entry.type.className, entry.type.unsupported);
    return new entry.type({ ...withDefaults(file, entry.type.defaults), ...entry.options });
  }
  const classes = [...new Set(entries.map(({ type }) => type.className))];
  throw new InvalidInput(
    `${file.file}: scheduler ${file.content._class_name} is not supported (${classes.join(', ')} are); name one in the recipe: generator.scheduler: ${Object.keys(schedulers).join(' or ')}`,
  );
}

/**
 * A scheduler with its loop laid out for so many steps; with a strength, for the last so large a share of them, as diffusers' image-to-image has it.
 * Throws InvalidInput as {@link createScheduler}, and for a number of steps or a strength that it cannot do.
 */
export function layOut(file: SchedulerFile, name: SchedulerName | null, steps: number, strength: number | null): Scheduler {
  const scheduler = createScheduler(file, name);
  scheduler.setTimesteps(steps);
  if (strength === null) return scheduler;
  const made = Math.min(Math.trunc(steps * strength), steps);
  if (!(made >= 1)) throw new InvalidInput(`strength ${strength} of ${steps} steps leaves none to make: raise one of them`);
  scheduler.skip(steps - made);
  return scheduler;
}
