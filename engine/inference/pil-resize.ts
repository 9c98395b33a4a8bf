import type { RgbImage } from '../metrics/pixels.js';

/** A resampling filter: its support in pixels of the smaller picture, and its weight at a distance. */
interface Filter {
  support: number;
  weight(x: number): number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** Keys' cubic convolution with a = -0.5 (1981). */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** By Pillow's `Image.Resampling`, as `resample` in a preprocessor_config.json; 0 is the nearest pixel. */
const FILTERS: Record<number, Filter> = {
  1: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  2: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  3: { support: 2, weight: cubic },
  4: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  5: { support: 1, weight: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI))) },
};
const NEAREST = 0;

export const isResampling = (resample: number): boolean => resample === NEAREST || Object.hasOwn(FILTERS, resample);

/** Bits of a weight's fraction: Pillow adds up in 32-bit integers, with room for the sign and for weights above 1. */
const PRECISION_BITS = 22;

/**
 * The picture at another size, byte for byte as Pillow's `Image.resize(size, resample)`: a filter that widens with the reduction
 * (so that nothing aliases), rows first, then columns, each rounded to 8 bits. sharp's kernels give other values. Pillow 13 begins with the
 * columns where that is less work, which only happens where a picture's shape changes.
 */
export function resizeLikePillow(image: RgbImage, size: { width: number; height: number }, resample: number): RgbImage {
  const { width, height } = size;
  if (width === image.width && height === image.height) return image;
  if (resample === NEAREST) return nearest(image, width, height);
  const filter = FILTERS[resample]!;
  const wide = width === image.width ? image : resizeRows(image, width, filter);
  return height === wide.height ? wide : resizeColumns(wide, height, filter);
}

const HALF = 1 << (PRECISION_BITS - 1);
const toByte = (sum: number): number => Math.min(255, Math.max(0, sum >> PRECISION_BITS));

function resizeRows({ width: from, height, data: old }: RgbImage, width: number, filter: Filter): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const taps = windows(from, width, filter);
  for (let y = 0, at = 0; y < height; y++) {
    for (const { first, weights } of taps) {
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let k = 0, i = (y * from + first) * 3; k < weights.length; k++, i += 3) {
        const weight = weights[k]!;
        red += old[i]! * weight;
        green += old[i + 1]! * weight;
        blue += old[i + 2]! * weight;
      }
      data[at++] = toByte(red);
      data[at++] = toByte(green);
      data[at++] = toByte(blue);
    }
  }
  return { width, height, data };
}

/** Whole rows at a time, as they lie in memory. */
function resizeColumns({ width, height: from, data: old }: RgbImage, height: number, filter: Filter): RgbImage {
  const stride = width * 3;
  const data = new Uint8Array(stride * height);
  const sums = new Int32Array(stride);
  windows(from, height, filter).forEach(({ first, weights }, y) => {
    sums.fill(HALF);
    for (let k = 0; k < weights.length; k++) {
      const [weight, start] = [weights[k]!, (first + k) * stride];
      for (let i = 0; i < stride; i++) sums[i]! += old[start + i]! * weight;
    }
    for (let i = 0; i < stride; i++) data[y * stride + i] = toByte(sums[i]!);
  });
  return { width, height, data };
}

/** For each place of the new line: the old pixels it is made of, and their weights as whole numbers. */
function windows(from: number, to: number, { support, weight }: Filter): Array<{ first: number; weights: Int32Array }> {
  const scale = from / to;
  const widened = Math.max(1, scale);
  const reach = support * widened;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => weight((k + first - center + 0.5) * (1 / widened)));
    const total = raw.reduce((sum, w) => sum + w, 0);
    const scaled = raw.map((w) => (total === 0 ? w : w / total) * (1 << PRECISION_BITS));
    return { first, weights: Int32Array.from(scaled, (w) => (w < 0 ? w - 0.5 : w + 0.5)) };
  });
}

function nearest(image: RgbImage, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const column = Array.from({ length: width }, (_, x) => Math.trunc((x + 0.5) * (image.width / width)) * 3);
  for (let y = 0; y < height; y++) {
    const row = Math.trunc((y + 0.5) * (image.height / height)) * image.width * 3;
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = image.data[row + column[x]! + c]!;
  }
  return { width, height, data };
}
