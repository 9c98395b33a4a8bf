import sharp from 'sharp';
import { InvalidInput } from '../../core/errors.js';

/** 8-bit sRGB picture, row-major, interleaved: `data` holds `height * width * 3` values. */
export interface RgbImage {
  width: number;
  height: number;
  data: Uint8Array;
}

/** Two pictures of one size, ready to be compared pixel by pixel. */
export interface PixelPair {
  image: RgbImage;
  trueImage: RgbImage;
  /** True: the generated picture was resized to the true one's size, so pixel scores also measure the resampling. */
  resized: boolean;
}

/**
 * Decodes an encoded picture (PNG, JPEG, WebP...) to RGB. Transparent pixels are laid on white, as the paper's pictures stand on white.
 * @throws InvalidInput where the bytes are no picture
 */
export async function decodePixels(bytes: Uint8Array, size?: { width: number; height: number }): Promise<RgbImage> {
  try {
    let picture = sharp(bytes).flatten({ background: '#ffffff' }).toColourspace('srgb');
    if (size) picture = picture.resize(size.width, size.height, { fit: 'fill', kernel: 'lanczos3' });
    const { data, info } = await picture.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  } catch (cause) {
    throw new InvalidInput(`not a readable picture: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Decodes both pictures; where their sizes differ the generated one is resized (Lanczos, aspect ratio not kept) to the true one's size. */
export async function decodePair(image: Uint8Array, trueImage: Uint8Array): Promise<PixelPair> {
  const truth = await decodePixels(trueImage);
  const own = await decodePixels(image);
  const resized = own.width !== truth.width || own.height !== truth.height;
  return { image: resized ? await decodePixels(image, truth) : own, trueImage: truth, resized };
}
