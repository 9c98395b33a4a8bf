/** Writes docs/recipe.md and docs/training-recipe.md from the recipes' schemas. Run it after `node scripts/build.mjs` whenever a field changes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { recipeDoc, trainingRecipeDoc } from '../dist/app/recipe/schema-doc.js';

const docs = fileURLToPath(new URL('../docs/', import.meta.url));
mkdirSync(docs, { recursive: true });
writeFileSync(`${docs}recipe.md`, recipeDoc());
writeFileSync(`${docs}training-recipe.md`, trainingRecipeDoc());
