import { fromHalfBits, fromHalves, halfRound, toHalfBits, toHalves } from './half-float.js';

test('every half survives the way to float32 and back', () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, half) => half).filter((half) => !Number.isNaN(fromHalfBits(half)));
  expect(toHalves(fromHalves(all))).toEqual(all);
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
])('%p is rounded to the nearest, halves to even: %p', (x, expected) => expect(halfRound(x)).toBe(expected));

test('NaN stays NaN, and the sign of zero is kept', () => {
  expect(halfRound(NaN)).toBeNaN();
  expect(toHalfBits(-0)).toBe(0x8000);
});
