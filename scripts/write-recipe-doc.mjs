/** Writes docs/recipe.md from the recipe's schema. Run it after `node scripts/build.mjs` whenever a field changes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { recipeDoc } from '../dist/app/recipe/schema-doc.js';

const docs = fileURLToPath(new URL('../docs/', import.meta.url));
mkdirSync(docs, { recursive: true });
writeFileSync(`${docs}recipe.md`, recipeDoc());
