/**
 * `logf`, `sinf` and `cosf` of the Cephes library (Moshier, netlib.org/cephes/single) in float32, with products and sums
 * fused where the build of torch for x86-64 fuses them. torch's vectorised Box-Muller uses them; correctly rounded
 * functions differ from them by up to 3 units in the last place.
 */
const { fround } = Math;

const float32 = (...values: number[]): Float32Array => Float32Array.from(values);

/** Largest power first. */
const LOG = float32(
  7.0376836292e-2,
  -1.151461031e-1,
  1.167699874e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
);
const SIN = float32(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1);
const COS = float32(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2);

/** ln 2 and pi/4, split so that products with small integers stay exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = fround(-2.1219444e-4);
const QUARTER_PI = float32(0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8);

const SQRT_HALF = fround(Math.SQRT1_2);
const FOUR_OVER_PI = fround(4 / Math.PI);

/** a * b + c in one rounding: the product of two float32 values is exact in double precision. */
const fma = (a: number, b: number, c: number): number => fround(a * b + c);

function polynomial(coefficients: Float32Array, x: number): number {
  let y = coefficients[0]!;
  for (let i = 1; i < coefficients.length; i++) y = fma(y, x, coefficients[i]!);
  return y;
}

const word = new DataView(new ArrayBuffer(4));

/** Natural logarithm of a normal float32 above zero. */
export function log(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getInt32(0);
  let exponent = (bits >>> 23) - 126;
  word.setInt32(0, (bits & 0x007fffff) | 0x3f000000);
  let x = word.getFloat32(0); // [0.5, 1)
  if (x < SQRT_HALF) {
    exponent -= 1;
    x = fround(fround(x - 1) + x);
  } else {
    x = fround(x - 1);
  }
  const z = fround(x * x);
  const y = fma(fround(polynomial(LOG, x) * x), z, fround(exponent * LN2_LOW));
  return fma(exponent, LN2_HIGH, fround(x + fma(-0.5, z, y)));
}

/** Sine and cosine of a float32 angle in [0, 8192) radians. */
export function sinCos(angle: number): { sin: number; cos: number } {
  const octant = (Math.trunc(fround(angle * FOUR_OVER_PI)) + 1) & ~1;
  let x = angle;
  for (const part of QUARTER_PI) x = fma(octant, -part, x);
  const z = fround(x * x);
  const cosine = fround(fma(fround(polynomial(COS, z) * z), z, -0.5 * z) + 1);
  const sine = fma(fround(polynomial(SIN, z) * z), x, x);
  switch (octant & 6) {
    case 0:
      return { sin: sine, cos: cosine };
    case 2:
      return { sin: cosine, cos: -sine };
    case 4:
      return { sin: -sine, cos: -cosine };
    default:
      return { sin: -cosine, cos: sine };
  }
}
