import { guardPayload } from './payload-guard.js';

test('what is small goes through as it is', () => {
  const value = { caption: 'x'.repeat(60_000) };
  expect(guardPayload('input', value)).toBe(value);
});

test('what is too large is refused and the field named', () => {
  expect(() => guardPayload('input of embed', { item: { id: 'a' }, subject: { text: 'x'.repeat(70_000) } })).toThrow(
    /input of embed is 70\d+ bytes.*subject\.text/,
  );
  expect(() => guardPayload('input', { caption: '日'.repeat(25_000) })).toThrow(/caption/);
});
