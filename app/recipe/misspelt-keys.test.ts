import fc from 'fast-check';
import { loadRecipe } from './load-recipe.js';
import { FULL_RECIPE, issuesOf, recipeFolder } from './test-recipe.js';

let folder: Awaited<ReturnType<typeof recipeFolder>>;
beforeAll(async () => {
  folder = await recipeFolder();
});
afterAll(() => folder.remove());

const LINES = FULL_RECIPE.split('\n');
const KEYS = LINES.flatMap((text, i) => {
  const found = /^([ -]*)([a-z_]+):/.exec(text);
  return found ? [{ line: i + 1, before: found[1]!, key: found[2]!, after: text.slice(found[0].length) }] : [];
});

const letter = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz_');

/** One letter put in, left out or exchanged. */
const edit = fc.tuple(fc.constantFrom('insert', 'delete', 'replace'), fc.nat(), letter).map(([kind, at, char]) => (key: string) => {
  const i = at % (kind === 'insert' ? key.length + 1 : key.length);
  return key.slice(0, i) + (kind === 'delete' ? '' : char) + key.slice(kind === 'insert' ? i : i + 1);
});

test('any key misspelt by one edit is reported with the right key and its line', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...KEYS), edit, async ({ line, before, key, after }, misspell) => {
      const written = misspell(key);
      const isKnownBeside = KEYS.some((k) => k.key === written);
      fc.pre(written !== '' && !isKnownBeside && !['y', 'n'].includes(written));
      const text = LINES.with(line - 1, `${before}${written}:${after}`).join('\n');
      const issues = await issuesOf(loadRecipe(await folder.write(text), []));
      const issue = issues.find((i) => i.line === line && i.message.startsWith('unknown key'));
      expect(issue?.field.split('.').at(-1)).toBe(written);
      expect(issue?.message).toBe(`unknown key; did you mean ${key}?`);
      // Nothing is said of the key that is now missing.
      expect(issues.filter((i) => i.message.startsWith('missing') && i.field.endsWith(key))).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
