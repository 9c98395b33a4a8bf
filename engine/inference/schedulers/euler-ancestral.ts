import { InvalidInput } from '../../../core/errors.js';
import { EulerScheduler } from './euler.js';
import type { SchedulerConfig, UnsupportedField } from './scheduler-config.js';
import type { NoiseSource } from './scheduler.js';

const { fround } = Math;
const square = (x: number): number => fround(x * x);

/**
 * Ancestral sampling (DDPM: Ho et al., arXiv 2006.11239, algorithm 2; in terms of sigma as k-diffusion has it) by Euler steps: each goes further
 * down than the next sigma, sigma_down^2 = sigma'^2 - sigma_up^2 with sigma_up^2 = sigma'^2 (sigma^2 - sigma'^2) / sigma^2, and adds sigma_up of new
 * noise. As diffusers' `EulerAncestralDiscreteScheduler`, float32 throughout.
 */
export class EulerAncestralScheduler extends EulerScheduler {
  static override readonly className = 'EulerAncestralDiscreteScheduler';
  static override readonly unsupported: readonly UnsupportedField[] = ['trained_betas'];

  /** Throws InvalidInput for what diffusers' class cannot do either; Karras' sigmas it does not know. */
  constructor(config: SchedulerConfig) {
    super({ ...config, use_karras_sigmas: false, final_sigmas_type: 'zero' });
    if (config.prediction_type === 'sample')
      throw new InvalidInput('EulerAncestralDiscreteScheduler: prediction_type sample is not supported');
  }

  override restore(done: number, saved: Float32Array[], noise: NoiseSource): void {
    super.restore(done, saved, noise);
    for (let i = 0; i < done; i++) noise();
  }

  override step(modelOutput: Float32Array, timestep: number, sample: Float32Array, noise: NoiseSource): Float32Array {
    const [from, to] = [square(this.sigmas[this.index]!), square(this.sigmas[this.index + 1]!)];
    const up = fround(Math.sqrt(fround(fround(to * fround(from - to)) / from)));
    const down = fround(Math.sqrt(fround(to - square(up))));
    const lower = this.towards(down, modelOutput, sample);
    this.index++;
    const drawn = noise();
    return lower.map((x, i) => x + fround(drawn[i]! * up));
  }
}
