import { InvalidInput } from '../../core/errors.js';
import type { RgbImage } from './pixels.js';

/** Standard deviation of the Gaussian window, in pixels (Wang et al. 2004, section III-B). */
const SIGMA = 1.5;
/** 11 x 11 window: where scikit-image truncates (3.5 sigma, rounded). */
const RADIUS = 5;
const DATA_RANGE = 255;
const C1 = (0.01 * DATA_RANGE) ** 2;
const C2 = (0.03 * DATA_RANGE) ** 2;

const WINDOW = gaussianWindow();

/**
 * Structural similarity of two RGB pictures of one size, mean over pixels and channels; 1 for equal pictures.
 * Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", 2004, equation 13.
 * Equals scikit-image's `structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
 * channel_axis=2, data_range=255)`: only windows that lie whole within the picture count.
 * @throws InvalidInput where the sizes differ or a side is shorter than the window (11 pixels)
 */
export function ssim(a: RgbImage, b: RgbImage): number {
  if (a.width !== b.width || a.height !== b.height) {
    throw new InvalidInput(`ssim needs pictures of one size, got ${a.width}x${a.height} and ${b.width}x${b.height}`);
  }
  const side = 2 * RADIUS + 1;
  if (a.width < side || a.height < side) {
    throw new InvalidInput(`ssim needs pictures of at least ${side}x${side}, got ${a.width}x${a.height}`);
  }
  let sum = 0;
  for (let channel = 0; channel < 3; channel++) sum += channelSsim(plane(a, channel), plane(b, channel), a.width, a.height);
  return sum / 3;
}

/** Mean of the SSIM map of one channel; `x` and `y` are row-major planes of `width * height`. */
function channelSsim(x: Float64Array, y: Float64Array, width: number, height: number): number {
  const product = (p: Float64Array, q: Float64Array) => p.map((value, i) => value * q[i]!);
  const filtered = [x, y, product(x, x), product(y, y), product(x, y)].map((p) => windowMeans(p, width, height));
  const [meanX, meanY, meanXX, meanYY, meanXY] = filtered as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  let sum = 0;
  for (let i = 0; i < meanX.length; i++) {
    const mx = meanX[i]!;
    const my = meanY[i]!;
    const varX = meanXX[i]! - mx * mx;
    const varY = meanYY[i]! - my * my;
    const covariance = meanXY[i]! - mx * my;
    sum += ((2 * mx * my + C1) * (2 * covariance + C2)) / ((mx * mx + my * my + C1) * (varX + varY + C2));
  }
  return sum / meanX.length;
}

/** Gaussian-weighted mean of every whole window: (width - 10) x (height - 10) values, rows first, then columns. */
function windowMeans(values: Float64Array, width: number, height: number): Float64Array {
  const innerWidth = width - 2 * RADIUS;
  const innerHeight = height - 2 * RADIUS;
  const rows = new Float64Array(innerWidth * height);
  for (let row = 0; row < height; row++) {
    for (let col = 0; col < innerWidth; col++) {
      let sum = 0;
      for (let k = 0; k < WINDOW.length; k++) sum += WINDOW[k]! * values[row * width + col + k]!;
      rows[row * innerWidth + col] = sum;
    }
  }
  const means = new Float64Array(innerWidth * innerHeight);
  for (let row = 0; row < innerHeight; row++) {
    for (let col = 0; col < innerWidth; col++) {
      let sum = 0;
      for (let k = 0; k < WINDOW.length; k++) sum += WINDOW[k]! * rows[(row + k) * innerWidth + col]!;
      means[row * innerWidth + col] = sum;
    }
  }
  return means;
}

function gaussianWindow(): number[] {
  const weights = Array.from({ length: 2 * RADIUS + 1 }, (_, i) => Math.exp(-((i - RADIUS) ** 2) / (2 * SIGMA ** 2)));
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

function plane(image: RgbImage, channel: number): Float64Array {
  return Float64Array.from({ length: image.width * image.height }, (_, i) => image.data[3 * i + channel]!);
}
