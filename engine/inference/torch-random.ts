import { log, sinCos } from './cephes-float32.js';
import { roundToFloat16 } from './float16.js';

/** Length of the Mersenne Twister's state, and the distance at which it is mixed. */
const N = 624;
const M = 397;

/** Below this many values torch draws one by one in double precision; from here on in blocks of 16 in single precision. */
const BLOCK = 16;

const { fround } = Math;
const TWO_PI_F32 = fround(2 * Math.PI);

/**
 * torch's CPU generator: MT19937 as `torch.Generator("cpu").manual_seed(seed)` sets it up, and normals as
 * `torch.randn` draws them, so that the same seed gives the same latents: to the bit as torch on x86-64 with AVX2, within
 * a few units in the last place elsewhere.
 *
 * Source: ATen/core/MT19937RNGEngine.h, ATen/core/DistributionsHelper.h, ATen/native/cpu/DistributionTemplates.h (`normal_fill`).
 */
export class TorchRandom {
  private readonly state = new Uint32Array(N);
  private next = N;
  /** Second half of the last Box-Muller pair of the one-by-one path; later draws of that path begin with it. */
  private spareNormal: number | null = null;

  /** @param seed as torch takes it; its low 32 bits count. */
  constructor(seed: number) {
    const { state } = this;
    state[0] = seed % 2 ** 32;
    for (let i = 1; i < N; i++) {
      const last = state[i - 1]!;
      state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
  }

  /** The next 32 bits as an unsigned integer. */
  random(): number {
    if (this.next === N) this.twist();
    let y = this.state[this.next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  /** `torch.rand` in float32: 24 bits, in [0, 1). */
  uniform(): number {
    return (this.random() & 0xffffff) / 2 ** 24;
  }

  /** `torch.randn(size)`; in float16 (torch 2.15) the float32 values rounded, and those beyond the last full block are other draws. */
  randn(size: number, dtype: 'float32' | 'float16' = 'float32'): Float32Array {
    const values = this.randn32(size, dtype === 'float16');
    return dtype === 'float16' ? values.map(roundToFloat16) : values;
  }

  private randn32(size: number, isHalf: boolean): Float32Array {
    const values = new Float32Array(size);
    if (size < BLOCK) {
      for (let i = 0; i < size; i++) values[i] = this.normal();
      return values;
    }
    const rest = size % BLOCK;
    // In float32 the rest is drawn once for nothing; in float16 it is not.
    for (let i = 0; i < size - (isHalf ? rest : 0); i++) values[i] = this.uniform();
    for (let i = 0; i + BLOCK <= size; i += BLOCK) boxMuller(values, i);
    if (rest !== 0) {
      // torch draws the last 16 anew, over values that a full block may have filled already.
      const tail = size - BLOCK;
      for (let i = tail; i < size; i++) values[i] = this.uniform();
      boxMuller(values, tail);
    }
    return values;
  }

  /** One normal of the one-by-one path (`at::normal_distribution<double>`). */
  private normal(): number {
    if (this.spareNormal !== null) {
      const spare = this.spareNormal;
      this.spareNormal = null;
      return spare;
    }
    const u1 = this.uniformDouble();
    const u2 = this.uniformDouble();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const theta = 2 * Math.PI * u1;
    this.spareNormal = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }

  /** 53 bits in [0, 1): the first 32-bit draw is the high half. */
  private uniformDouble(): number {
    const high = this.random() & 0x1fffff;
    const low = this.random();
    return (high * 2 ** 32 + low) / 2 ** 53;
  }

  private twist(): void {
    const { state } = this;
    for (let i = 0; i < N; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff);
      state[i] = state[(i + M) % N]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }
}

/** Turns 16 uniforms at `from` into 16 normals in place, rounding to float32 where torch does. */
function boxMuller(values: Float32Array, from: number): void {
  for (let j = from; j < from + BLOCK / 2; j++) {
    const u1 = fround(1 - values[j]!); // (0, 1], for the logarithm
    const u2 = values[j + BLOCK / 2]!;
    const radius = fround(Math.sqrt(fround(-2 * log(u1))));
    const theta = fround(TWO_PI_F32 * u2);
    const { sin, cos } = sinCos(theta);
    values[j] = radius * cos;
    values[j + BLOCK / 2] = radius * sin;
  }
}
