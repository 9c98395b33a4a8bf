import { TorchRandom } from '../../engine/inference/torch-random.js';
import { golden, maxUlp } from './goldens.js';

interface Rng {
  randn: { seed: number; shape: number[]; values: number[] }[];
  successive: { seed: number; draws: { shape: number[]; values: number[] }[] }[];
  raw: { seed: number; int64Random: number[]; uniform: number[] }[];
}
const rng = golden<Rng>('rng');
const sizeOf = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

describe('the generator against torch', () => {
  test.each(rng.raw)('seed $seed: the same bits and uniforms', ({ seed, int64Random, uniform }) => {
    const random = new TorchRandom(seed);
    // A range this wide takes 64 bits, the first 32 high, modulo the range.
    const wide = (): bigint => (BigInt(random.random()) << 32n) | BigInt(random.random());
    expect(int64Random.map(() => Number(wide() % (2n ** 32n - 1n)))).toEqual(int64Random);
    const again = new TorchRandom(seed);
    expect(
      maxUlp(
        Float32Array.from(uniform, () => again.uniform()),
        uniform,
      ),
    ).toBe(0);
  });

  test.each(rng.randn)('seed $seed: torch.randn($shape) to the bit', ({ seed, shape, values }) => {
    expect(maxUlp(new TorchRandom(seed).randn(sizeOf(shape)), values)).toBe(0);
  });

  test.each(rng.successive)('seed $seed: several draws from one generator', ({ seed, draws }) => {
    const random = new TorchRandom(seed);
    for (const { shape, values } of draws) expect(maxUlp(random.randn(sizeOf(shape)), values)).toBe(0);
  });
});
