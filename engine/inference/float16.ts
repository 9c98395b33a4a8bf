/** IEEE 754 binary16, which ONNX Runtime takes and gives as 16-bit words: Node has no Float16Array before version 24. */

const word = new DataView(new ArrayBuffer(4));

/** Each value as the nearest half (ties to even); beyond 65504 infinite. */
export function toFloat16(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, halfBits);
}

/** Exact. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, valueOf);
}

function halfBits(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return sign | 0x7e00;
  if (magnitude === Infinity) return sign | 0x7c00;
  // The distance of neighbours at this size: 2^-24 below the normal numbers, else 2^-10 of the power of two below.
  const exponent = Math.max(-14, ((bits >>> 23) & 0xff) - 127);
  if (exponent > 15) return sign | 0x7c00;
  const steps = roundHalfEven(magnitude * 2 ** (10 - exponent));
  // A carry out of the fraction goes into the exponent by itself, up to infinity.
  return sign | (steps + (exponent + 14) * 1024);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function valueOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
