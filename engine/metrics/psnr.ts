import { InvalidInput } from '../../core/errors.js';
import type { RgbImage } from './pixels.js';

/** Equal pictures have no noise and an infinite ratio; tables and means need a number. */
export const PSNR_CAP_DB = 100;

/**
 * Peak signal-to-noise ratio of two RGB pictures of one size in dB: `10 log10(255^2 / MSE)`, over all channels at once, as
 * scikit-image's `peak_signal_noise_ratio`; {@link PSNR_CAP_DB} for equal pictures.
 * @throws InvalidInput where the sizes differ
 */
export function psnr(a: RgbImage, b: RgbImage): number {
  if (a.width !== b.width || a.height !== b.height) {
    throw new InvalidInput(`psnr needs pictures of one size, got ${a.width}x${a.height} and ${b.width}x${b.height}`);
  }
  let squares = 0;
  for (let i = 0; i < a.data.length; i++) squares += (a.data[i]! - b.data[i]!) ** 2;
  if (squares === 0) return PSNR_CAP_DB;
  return Math.min(PSNR_CAP_DB, 10 * Math.log10((255 ** 2 * a.data.length) / squares));
}
