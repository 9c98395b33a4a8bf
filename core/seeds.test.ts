import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { derangement, permutation, seedOf } from './seeds.js';

test('a seed is the first four bytes, big-endian, of the SHA-256 of run seed, item and draw', () => {
  fc.assert(
    fc.property(fc.integer(), fc.string({ unit: 'grapheme' }), fc.nat(), (seed, item, draw) => {
      const bytes = createHash('sha256').update(`${seed}\n${item}\n${draw}`, 'utf8').digest();
      expect(seedOf(seed, item, draw)).toBe(bytes.readUInt32BE(0));
    }),
  );
});

test('a permutation holds every number once and follows its seed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.nat(), (n, seed) => {
      const order = permutation(n, seed);
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      expect(permutation(n, seed)).toEqual(order);
    }),
  );
  expect(permutation(50, 1)).not.toEqual(permutation(50, 2));
});

test('a derangement leaves nobody with his own', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(), (n, seed) => {
      const partner = derangement(n, seed);
      expect([...partner].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      partner.forEach((p, i) => expect(p).not.toBe(i));
    }),
  );
  expect(derangement(1, 0)).toEqual([]);
});
