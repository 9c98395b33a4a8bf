import sharp from 'sharp';
import { InvalidInput, ModelOutputInvalid } from '../../core/errors.js';
import type { FloatTensor } from './onnx-model.js';
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

/** An encoded picture as float32 [1, 3, height, width], -1..1, as diffusers' `VaeImageProcessor`. Throws InvalidInput where it cannot be decoded. */
export async function fromPicture(image: Uint8Array): Promise<FloatTensor> {
  try {
    const { data, info } = await sharp(image).toColourspace('srgb').removeAlpha().raw().toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`${info.channels} channels instead of 3`);
    const area = info.height * info.width;
    const values = new Float32Array(3 * area);
    for (let channel = 0; channel < 3; channel++) {
      for (let i = 0; i < area; i++) values[channel * area + i] = fround(2 * fround(data[i * 3 + channel]! / 255)) - 1;
    }
    return { data: values, dims: [1, 3, info.height, info.width] };
  } catch (error) {
    throw new InvalidInput(`the picture to start from cannot be decoded: ${(error as Error).message}`, { cause: error });
  }
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
    if (!Number.isFinite(values[i]!))
      throw new ModelOutputInvalid('not_finite', `${what} holds ${values[i]} at position ${i} of ${values.length}`);
  }
}
