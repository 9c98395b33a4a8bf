import { fromFloat16, toFloat16 } from './float16.js';

/** As numpy's float16 has them. */
const HALVES: Array<[number, number]> = [
  [0, 0x0000],
  [-0, 0x8000],
  [1, 0x3c00],
  [-2, 0xc000],
  [65504, 0x7bff],
  [65519, 0x7bff],
  [65520, 0x7c00],
  [1e9, 0x7c00],
  [-Infinity, 0xfc00],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [2 ** -25 * 1.5, 0x0001],
  [2 ** -14, 0x0400],
  [2 ** -14 - 2 ** -24, 0x03ff],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [0.1, 0x2e66],
  [2047.9, 0x6800],
];

test.each(HALVES)('%d is half %i', (value, half) => {
  expect(toFloat16(Float32Array.of(value))[0]).toBe(half);
});

test('every half there is comes back from its value', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((half) => (half & 0x7c00) !== 0x7c00 || (half & 0x3ff) === 0);
  expect(toFloat16(fromFloat16(all))).toEqual(all);
  expect(Number.isNaN(fromFloat16(toFloat16(Float32Array.of(NaN)))[0])).toBe(true);
});
