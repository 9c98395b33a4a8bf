import { InvalidInput } from '../../core/errors.js';
import { parseModelJson, readModelJson } from './model-json.js';

test("accepts Python's infinities and NaN, but not inside strings", () => {
  expect(parseModelJson('{"a": -Infinity, "b": [Infinity, NaN], "c": "NaN \\"Infinity"}')).toEqual({
    a: -Infinity,
    b: [Infinity, null],
    c: 'NaN "Infinity',
  });
});

test('a missing or broken file is named', async () => {
  await expect(readModelJson('/no/such/config.json')).rejects.toThrow(/^\/no\/such\/config.json cannot be read \(ENOENT\)/);
  await expect(readModelJson(import.meta.filename)).rejects.toThrow(InvalidInput);
});
