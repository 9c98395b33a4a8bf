import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RefineError, type Placement, type Recipe } from '../../core/index.js';
import { storeUri } from '../../engine/storage/open-store.js';
import { crossFindings } from './cross-checks.js';
import { schemaFindings, withoutRefused, type Finding } from './issue-text.js';
import { modelFindings, withScoreModels } from './models-on-disk.js';
import { RecipeError, type RecipeIssue } from './recipe-error.js';
import { fieldName, messageOf, readRecipeSource, type RecipeSource } from './recipe-source.js';
import { recipeSchema, type RecipeShape } from './schema.js';
import { toPlacement, toRecipe } from './to-recipe.js';

/** A recipe that passed every check, and where it came from. */
export interface LoadedRecipe {
  /** Every default filled in; paths as they were written. */
  recipe: Recipe;
  /** Workers that it names: no part of what a run is, as the store is none. */
  placement?: Placement;
  /** Absolute: `file:///...` or `s3://bucket/prefix`. */
  storeUri: string;
  file: string;
  /** Absolute folder of the recipe file: its relative paths begin here. */
  baseDir: string;
  /** The absolute form of a path as it stands in the recipe. */
  resolvePath(path: string): string;
}

/**
 * Reads, checks and completes a recipe file.
 * @param overrides `--set` options: `key=value` with a dotted key and a YAML value
 * @throws {RecipeError} with everything that is wrong, each with file, line and field
 */
export async function loadRecipe(file: string, overrides: string[] = []): Promise<LoadedRecipe> {
  const baseDir = dirname(resolve(file));
  const resolvePath = (path: string) => resolve(baseDir, path);
  const source = readRecipeSource(await readText(file), file, overrides);
  if (source.value === undefined || source.issues.some((issue) => issue.line !== null)) throw new RecipeError(source.issues);

  const parsed = recipeSchema.safeParse(source.value);
  const findings = parsed.success ? [] : schemaFindings(parsed.error.issues, source.value);
  const shape = parsed.success ? parsed.data : acceptedPart(source.value, findings);
  const refused = findings.map((finding) => finding.path);
  if (shape) {
    findings.push(...crossFindings(shape, refused));
    findings.push(...(await modelFindings(shape, resolvePath, refused)));
  }
  const store = shape ? findStore(shape.store, baseDir) : null;
  if (store && 'problem' in store) findings.push({ path: ['store'], message: store.problem });

  const issues = [...located(findings, source), ...source.issues];
  if (issues.length > 0 || !shape || !store || 'problem' in store) throw new RecipeError(issues);
  const [recipe, placement] = [toRecipe(withScoreModels(shape)), toPlacement(shape)];
  return { recipe, placement, storeUri: store.uri, file, baseDir, resolvePath };
}

/** Of a recipe's `store`. */
export function findStore(store: string, baseDir: string): { uri: string } | { problem: string } {
  try {
    return { uri: storeUri(store, baseDir) };
  } catch (error) {
    if (RefineError.is(error)) return { problem: error.message };
    throw error;
  }
}

/** @throws {RecipeError} where there is no such file */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const message =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'is a folder; name the recipe file in it' : messageOf(error);
    throw new RecipeError([{ file, line: null, field: '', message }]);
  }
}

/** What is left without the refused fields, so that the checks across fields can name what else is wrong. */
function acceptedPart(value: unknown, findings: Finding[]): RecipeShape | null {
  const rest = withoutRefused(value, findings);
  return rest === null ? null : (recipeSchema.safeParse(rest).data ?? null);
}

/** In the order of the file; options last. */
export function located(findings: Finding[], source: RecipeSource): RecipeIssue[] {
  const issues = findings.map(({ path, message }) => ({ ...source.locate(path), field: fieldName(path), message }));
  return issues.sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity));
}
