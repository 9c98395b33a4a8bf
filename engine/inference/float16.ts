/** IEEE 754 half precision, which Node 20 has no array for: ONNX Runtime takes and gives its 16 bits as integers. */

const bits = new Uint32Array(1);
const value = new Float32Array(bits.buffer);

/** The nearest half to a float32, halves to even, as its bits. Beyond 65504 it is infinite. */
export function toHalfBits(x: number): number {
  value[0] = x;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const magnitude = bits[0]! & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14 halves are evenly spaced: adding 0.5 in float32 leaves exactly that spacing in its last places.
    value[0] = Math.abs(x) + 0.5;
    return sign | (bits[0]! - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** What the bits of a half stand for. */
export function fromHalfBits(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Rounded to half precision. */
export const roundToFloat16 = (x: number): number => fromHalfBits(toHalfBits(x));

let table: Float32Array | undefined;

export function toFloat16(values: ArrayLike<number>): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < halves.length; i++) halves[i] = toHalfBits(values[i]!);
  return halves;
}

export function fromFloat16(halves: Uint16Array): Float32Array {
  const known = (table ??= Float32Array.from({ length: 65_536 }, (_, half) => fromHalfBits(half)));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < values.length; i++) values[i] = known[halves[i]!]!;
  return values;
}
