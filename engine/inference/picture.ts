import sharp from 'sharp';
import { ModelOutputInvalid } from '../../core/errors.js';
import { roundHalfEven } from './schedulers/timesteps.js';

const { fround } = Math;

/**
 * The decoder's output (float32 [1, 3, height, width], about -1..1) as 8-bit RGB row by row, as diffusers makes it:
 * (x / 2 + 0.5) clamped to 0..1, times 255, rounded half to even. Throws ModelOutputInvalid for NaN and infinity.
 */
export function toPixels(decoded: Float32Array, height: number, width: number): Uint8Array {
  checkFinite(decoded, 'the picture');
  const area = height * width;
  const pixels = new Uint8Array(area * 3);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) {
      const unit = fround(fround(decoded[channel * area + i]! * 0.5) + 0.5);
      pixels[i * 3 + channel] = roundHalfEven(fround(Math.min(1, Math.max(0, unit)) * 255));
    }
  }
  return pixels;
}

/** The same pixels always give the same bytes: fixed settings, no metadata, no timestamp. */
export async function toPng(pixels: Uint8Array, height: number, width: number): Promise<Uint8Array> {
  const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 6, adaptiveFiltering: false, palette: false, progressive: false })
    .toBuffer();
  return new Uint8Array(png);
}

/** Throws ModelOutputInvalid when a value is NaN or infinite. */
export function checkFinite(values: Float32Array, what: string): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!)) throw new ModelOutputInvalid(`${what} holds ${values[i]} at position ${i} of ${values.length}`);
  }
}
