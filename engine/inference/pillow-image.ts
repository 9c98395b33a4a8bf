import { RawImage } from '@huggingface/transformers';
import { decodePixels } from '../metrics/pixels.js';
import { isResampling, resizeLikePillow } from './pil-resize.js';

/**
 * A picture for transformers.js that is resized as transformers does it: the library's own resizing does not widen its filter, so that
 * what it shrinks is aliased, and models see another picture than in Python.
 */
export class PillowImage extends RawImage {
  /** Of an encoded picture, with transparency laid on white. Throws InvalidInput when it cannot be decoded. */
  static async decode(image: Uint8Array): Promise<PillowImage> {
    const { data, width, height } = await decodePixels(image);
    return new PillowImage(new Uint8ClampedArray(data), width, height, 3);
  }

  /** To both sizes in pixels, by a number of Pillow's `Image.Resampling`; whatever else the library may ask for is its own business. */
  override async resize(width: number, height: number, options: { resample?: 0 | 1 | 2 | 3 | 4 | 5 | string } = {}): Promise<RawImage> {
    const { resample = 2 } = options;
    const isKnown = this.channels === 3 && typeof resample === 'number' && isResampling(resample);
    if (!isKnown || !Number.isInteger(width) || !Number.isInteger(height)) return super.resize(width, height, options);
    const own = { width: this.width, height: this.height, data: new Uint8Array(this.data) };
    const { data } = resizeLikePillow(own, { width, height }, resample);
    return new PillowImage(new Uint8ClampedArray(data), width, height, 3);
  }
}
