import { InvalidInput } from '../../../core/errors.js';
import type { SchedulerConfig } from './scheduler-config.js';

/**
 * `n` steps of training, noisiest first, as numpy spaces them for diffusers; fractions in `linspace`, to be rounded by those that want whole ones.
 * @param points how many `leading` and `linspace` lay out from the first step of training on, of which the noisiest `n` are taken
 */
export function spacedTimesteps(config: SchedulerConfig, n: number, points = n): number[] {
  const { num_train_timesteps: total, steps_offset: offset, timestep_spacing: spacing } = config;
  const down = (at: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => at(points - 1 - i));
  switch (spacing) {
    case 'leading': {
      const ratio = Math.floor(total / points);
      if ((points - 1) * ratio + offset >= total)
        throw new InvalidInput(`num_inference_steps ${n} with steps_offset ${offset} goes beyond the ${total} steps of training`);
      return down((i) => i * ratio + offset);
    }
    case 'linspace': {
      const step = points > 1 ? (total - 1) / (points - 1) : 0;
      return down((i) => (i > 0 && i === points - 1 ? total - 1 : i * step));
    }
    case 'trailing': {
      // As numpy.arange counts down: by the difference of its first two values, whose rounding decides halves.
      const step = total - total / n - total;
      return Array.from({ length: n }, (_, i) => roundHalfEven(total + i * step) - 1);
    }
  }
}

/** numpy's rounding: halves go to the even neighbour. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Throws InvalidInput unless the steps are a whole number within these bounds. */
export function checkSteps(numInferenceSteps: number, most: number, least = 1): void {
  if (!Number.isInteger(numInferenceSteps) || numInferenceSteps < least || numInferenceSteps > most) {
    throw new InvalidInput(`num_inference_steps must be a whole number from ${least} to ${most}, got ${numInferenceSteps}`);
  }
}
