import { readFile } from 'node:fs/promises';
import { recipeDoc } from './schema-doc.js';

test('docs/recipe.md is current (node scripts/write-recipe-doc.mjs writes it)', async () => {
  expect(await readFile('docs/recipe.md', 'utf8')).toBe(recipeDoc());
});

test('every field has a doc line', () => {
  const rows = recipeDoc().match(/^\| `.*$/gm) ?? [];
  expect(rows.length).toBeGreaterThan(45);
  expect(rows.filter((row) => /\|\s+\|$/.test(row))).toEqual([]);
});
