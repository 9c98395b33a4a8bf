import { readFile } from 'node:fs/promises';
import { recipeDoc, trainingRecipeDoc } from './schema-doc.js';

const DOCS: Array<[string, string, number]> = [
  ['recipe', recipeDoc(), 45],
  ['training-recipe', trainingRecipeDoc(), 30],
];

test.each(DOCS)('docs/%s.md is current (node scripts/write-recipe-doc.mjs writes it)', async (name, doc) => {
  expect(await readFile(`docs/${name}.md`, 'utf8')).toBe(doc);
});

test.each(DOCS)('every field of docs/%s.md has a doc line', (_, doc, fields) => {
  const rows = doc.match(/^\| `.*$/gm) ?? [];
  expect(rows.length).toBeGreaterThan(fields);
  expect(rows.filter((row) => /\|\s+\|$/.test(row))).toEqual([]);
});
