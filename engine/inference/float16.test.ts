import { fromHalfBits, fromFloat16, roundToFloat16, toHalfBits, toFloat16 } from './float16.js';

test('every half survives the way to float32 and back', () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, half) => half).filter((half) => !Number.isNaN(fromHalfBits(half)));
  expect(toFloat16(fromFloat16(all))).toEqual(all);
});

test.each([
  [1 + 2 ** -11, 1],
  [1 + 3 * 2 ** -11, 1 + 2 ** -9],
  [65519, 65504],
  [65520, Infinity],
  [-1e6, -Infinity],
  [2 ** -25, 0],
  [2 ** -24, 2 ** -24],
  [2 ** -24 * 1.5, 2 ** -23],
  [6.1e-5, 1023 * 2 ** -24],
])('%p is rounded to the nearest, halves to even: %p', (x, expected) => expect(roundToFloat16(x)).toBe(expected));

test('NaN stays NaN, and the sign of zero is kept', () => {
  expect(roundToFloat16(NaN)).toBeNaN();
  expect(toHalfBits(-0)).toBe(0x8000);
});
