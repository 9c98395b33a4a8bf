import { z } from 'zod';
import { recipeSchema } from './schema.js';
import { trainingSchema } from './training-schema.js';
import { defaultOf, docOf, expected, unwrap } from './schema-walk.js';

interface FieldRow {
  field: string;
  takes: string;
  fallback: string;
  doc: string;
}

/** docs/recipe.md: every field with what it takes, its default and its doc line. Made from the schema, checked by a test. */
export function recipeDoc(): string {
  return page(recipeSchema, [
    '# Recipe',
    '',
    '<!-- Made from app/recipe/schema.ts by `node scripts/write-recipe-doc.mjs`. Change the doc lines there. -->',
    '',
    'A recipe is a YAML file that says everything about a run. Relative paths are relative to the file.',
    'Any field can be set for one run with `--set`: `--set generator.num_inference_steps=10 --set arms.written.refine=prepend`',
    '(the value is YAML; an entry of a list is named by its number or its name).',
    'Unknown keys are refused, with the nearest known key. See `examples/recipes/creatures.yaml` for one to start from.',
    '',
    'A score is written as its name (`select: clip_text`) or with its model (`select: { metric: clip_text, model: ./folder }`).',
    '',
  ]);
}

/** docs/training-recipe.md, likewise. */
export function trainingRecipeDoc(): string {
  return page(trainingSchema, [
    '# Training recipe',
    '',
    '<!-- Made from app/recipe/training-schema.ts by `node scripts/write-recipe-doc.mjs`. Change the doc lines there. -->',
    '',
    'A training recipe is a YAML file that says everything about a training ([training.md](training.md)). Relative paths are relative to the file.',
    'Any field can be set for one training with `--set`, as in `--set training.epochs=20`. Unknown keys are refused, with the nearest known key.',
    'See `examples/recipes/train-opt.yaml` for one to start from.',
    '',
  ]);
}

function page(schema: z.ZodType, head: string[]): string {
  const rows = [...fieldRows(schema, '')];
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    ...head,
    '<!-- prettier-ignore -->',
    line(['field', 'takes', 'default', 'what it does']),
    '|---|---|---|---|',
    ...rows.map(({ field, takes, fallback, doc }) => line([`\`${field}\``, takes, fallback, doc])),
    '',
  ].join('\n');
}

function* fieldRows(schema: z.ZodType, prefix: string): Iterable<FieldRow> {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) yield* fieldRows(inner.element as z.ZodType, `${prefix}[]`);
  if (inner instanceof z.ZodUnion) {
    for (const form of (inner.options as z.ZodType[]).filter(isInThisVersion)) yield* fieldRows(form, prefix);
    return;
  }
  if (!(inner instanceof z.ZodObject)) return;
  for (const [key, field] of Object.entries(inner.shape) as Array<[string, z.ZodType]>) {
    const name = prefix ? `${prefix}.${key}` : key;
    const row = { field: name, takes: takesText(field), fallback: fallbackText(field), doc: docOf(field) };
    yield row;
    yield* fieldRows(field, name);
  }
}

/** Forms that are only refused by name accept any key; all others are strict. */
function isInThisVersion(form: z.ZodType): boolean {
  return form instanceof z.ZodObject && form.def.catchall instanceof z.ZodNever;
}

function takesText(schema: z.ZodType): string {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return 'a mapping';
  return expected(schema).replace(/, or nothing$/, '');
}

function fallbackText(schema: z.ZodType): string {
  const fallback = defaultOf(schema);
  if (fallback === undefined) return '**required**';
  if (fallback === null) return 'none';
  if (typeof fallback === 'object' && Object.keys(fallback).length === 0) return 'see its fields';
  return `\`${typeof fallback === 'string' && fallback !== '' ? fallback : JSON.stringify(fallback)}\``;
}
