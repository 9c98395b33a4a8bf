import { TorchRandom } from './torch-random.js';

describe('TorchRandom', () => {
  test('is MT19937: the 10,000th output for seed 5489 is the one in the C++ standard', () => {
    const random = new TorchRandom(5489);
    let last = 0;
    for (let i = 0; i < 10_000; i++) last = random.random();
    expect(last).toBe(4123659995);
  });

  test('draws what torch.randn(16) draws for seed 0', () => {
    const values = new TorchRandom(0).randn(1024);
    [-1.1258398, -1.1523602, -0.25057858, -0.4338788, 0.84871036].forEach((v, i) => expect(values[i]).toBeCloseTo(v, 6));
  });

  test('an empty draw takes nothing from the stream', () => {
    const random = new TorchRandom(3);
    expect(random.randn(0)).toHaveLength(0);
    expect(random.random()).toBe(new TorchRandom(3).random());
  });

  test('the one-by-one path keeps the second half of a pair for the next draw', () => {
    const whole = new TorchRandom(9).randn(4);
    const random = new TorchRandom(9);
    expect([...random.randn(1), ...random.randn(3)]).toEqual([...whole]);
  });

  test('is standard normal over many values', () => {
    const values = new TorchRandom(1).randn(100_000);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(variance).toBeCloseTo(1, 1);
  });

  test('only the low 32 bits of the seed count', () => {
    expect(new TorchRandom(2 ** 32 + 7).random()).toBe(new TorchRandom(7).random());
  });
});
