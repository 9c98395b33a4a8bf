import { asFloat32 } from './embed.js';

it('reads a vector from wherever its bytes lie', () => {
  const vector = Float32Array.of(1, -2.5, 3);
  const around = Buffer.alloc(40, 7);
  around.set(new Uint8Array(vector.buffer), 13);
  expect(asFloat32(around.subarray(13, 25))).toEqual(vector);
});
