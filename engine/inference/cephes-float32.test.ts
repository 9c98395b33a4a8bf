import { log, sinCos } from './cephes-float32.js';

const STEPS = 5000;

test('log is within 1.2e-7 of the logarithm, relatively', () => {
  for (let i = 1; i <= STEPS; i++) {
    const x = Math.fround(i / STEPS);
    expect(Math.abs(log(x) - Math.log(x))).toBeLessThanOrEqual(1.2e-7 * Math.abs(Math.log(x)));
  }
  expect(log(1)).toBe(0);
  expect(log(2 ** -24)).toBeCloseTo(-24 * Math.LN2, 5);
});

test('sinCos is within 1.2e-7 of sine and cosine over two turns', () => {
  for (let i = 0; i <= STEPS; i++) {
    const angle = Math.fround((i / STEPS) * 4 * Math.PI);
    const { sin, cos } = sinCos(angle);
    expect(Math.abs(sin - Math.sin(angle))).toBeLessThan(1.2e-7);
    expect(Math.abs(cos - Math.cos(angle))).toBeLessThan(1.2e-7);
  }
});
