import leven from 'leven';
import type { z } from 'zod';
import { FEEDBACK_KINDS } from '../../core/index.js';
import { recipeSchema, PLANNED_SOURCES, LOCAL_PROVIDER } from './schema.js';
import { defaultOf, expected, keysOf, schemaAt } from './schema-walk.js';
import { isRecord, startsWith, valueAt, type FieldPath } from './recipe-source.js';

/** A finding about one field, before it is located in the file. */
export interface Finding {
  path: FieldPath;
  message: string;
}

type SchemaIssue = z.core.$ZodIssue;

/** Feedback sources that a recipe can name today. */
const SOURCES = Object.keys(FEEDBACK_KINDS);

/** What a person can do, for fields that have no default. */
const EXAMPLES: Record<string, string> = {
  name: 'name: my-run',
  dataset: 'dataset: { uri: ./my-images }',
  'dataset.uri': 'uri: ./my-images',
  generator: 'generator: { model: ./my-model }',
  'generator.model': 'model: ./my-model',
  arms: 'arms: [{ name: control }]',
  data: 'data: { run: my-run, arm: written }',
  model: 'model: { source: opt, base: ./opt, image_encoder: ./vit-mae }',
  'model.base': 'base: ./opt',
};

/**
 * The schema's issues as findings, each with what was expected, what came and what to do.
 * @param root the schema: a run's recipe or a training's
 */
export function schemaFindings(issues: readonly SchemaIssue[], value: unknown, root: z.ZodType = recipeSchema): Finding[] {
  const findings: Finding[] = [];
  const misspelt: FieldPath[] = [];
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    const path = issue.path as FieldPath;
    if (belongsToProvider(path, value)) continue;
    for (const key of issue.keys) {
      const near = nearestKeys(key, path, value, root);
      misspelt.push(...near.map((name) => [...path, name]));
      findings.push({ path: [...path, key], message: `unknown key; ${unknownKeyHint(key, near, path, value, root)}` });
    }
  }
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') continue;
    const path = writtenPath(issue.path as FieldPath, value);
    const came = valueAt(value, path);
    // A required key that is there under a misspelt name is not missing as well.
    if (came === undefined && misspelt.some((m) => startsWith(path, m) && m.length === path.length)) continue;
    if (findings.some((f) => sameField(f.path, path))) continue;
    findings.push(misspeltSource(issue, value) ?? { path, message: valueMessage(issue, path, came, value, root) });
  }
  return findings;
}

/** `did you mean a?`, with all of the nearest names; `null` where none is near. */
export function didYouMean(word: string, names: readonly string[]): string | null {
  const near = nearest(word, names);
  return near.length > 0 ? `did you mean ${near.join(' or ')}?` : null;
}

/** Names at the smallest edit distance, if it is small for the word's length. camelCase counts as snake_case. */
export function nearest(word: string, names: readonly string[]): string[] {
  const snake = word
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase();
  const distance = (name: string) => Math.min(leven(word, name), leven(snake, name));
  const least = Math.min(...names.map(distance));
  if (least > Math.max(1, Math.floor(word.length / 3))) return [];
  return names.filter((name) => distance(name) === least);
}

function nearestKeys(key: string, path: FieldPath, value: unknown, root: z.ZodType): string[] {
  const parent = valueAt(value, path);
  const near = nearest(key, keysAt(path, value, root));
  const absent = near.filter((name) => !(isRecord(parent) && Object.hasOwn(parent, name)));
  return absent.length > 0 ? absent : near;
}

function unknownKeyHint(key: string, near: string[], path: FieldPath, value: unknown, root: z.ZodType): string {
  if (near.length > 0) return `did you mean ${near.join(' or ')}?`;
  return path.length > 0 || key !== '' ? `known here: ${keysAt(path, value, root).join(', ')}` : 'remove it';
}

function keysAt(path: FieldPath, value: unknown, root: z.ZodType = recipeSchema): string[] {
  const schema = schemaAt(root, path, value);
  return schema ? keysOf(schema, valueAt(value, path)) : [];
}

function valueMessage(issue: SchemaIssue, path: FieldPath, came: unknown, value: unknown, root: z.ZodType): string {
  if (issue.code === 'invalid_union' && path.at(-1) === 'source') return sourceMessage(came);
  const schema = schemaAt(root, issue.path as FieldPath, value);
  if (!schema) return issue.message;
  const advice = adviceFor(schema, path);
  if (came === undefined) return `missing; ${expected(schema)} is needed${advice}`;
  if (issue.code === 'invalid_value') {
    const hint = typeof came === 'string' ? didYouMean(came, issue.values.map(String)) : null;
    return `expected ${expected(schema)}; got ${show(came)}${hint ? `; ${hint}` : advice}`;
  }
  if (issue.code === 'custom') return `${issue.message}; got ${show(came)}`;
  if (issue.code === 'invalid_format' && issue.format === 'url') {
    return `expected a URL with http or https, as in \`http://localhost:8000/v1\`; got ${show(came)}`;
  }
  if (issue.code === 'invalid_format') {
    return `expected letters, digits, \`.\`, \`_\` and \`-\`, beginning with a letter or digit, because ids and folders are made of it; got ${show(came)}`;
  }
  if (issue.code === 'too_big' && issue.origin === 'string') {
    return `expected at most ${issue.maximum} characters, because ids are made of it; got ${typeof came === 'string' ? came.length : show(came)}`;
  }
  if (issue.code === 'too_small' && issue.origin === 'string') return `expected text; got an empty one${advice}`;
  if (issue.code === 'too_small' && issue.origin === 'array') return `expected at least ${issue.minimum} entry; got none${advice}`;
  const quoted = typeof came === 'string' && schema.safeParse(Number(came)).success && came.trim() !== '' ? '; remove the quotes' : '';
  return `expected ${expected(schema)}; got ${show(came)}${quoted || advice}`;
}

/** Without its `source`, a feedback's other keys cannot be judged; one that is nearly `source` says what happened. */
function misspeltSource(issue: SchemaIssue, value: unknown): Finding | null {
  const path = issue.path as FieldPath;
  const parent = valueAt(value, path.slice(0, -1));
  if (issue.code !== 'invalid_union' || path.at(-1) !== 'source' || !isRecord(parent) || Object.hasOwn(parent, 'source')) return null;
  const key = Object.keys(parent).find((name) => nearest(name, ['source', 'column', 'from'])[0] === 'source');
  return key === undefined ? null : { path: [...path.slice(0, -1), key], message: 'unknown key; did you mean source?' };
}

function sourceMessage(came: unknown): string {
  if (came === undefined) return `missing; expected one of ${SOURCES.join(', ')}`;
  const hint = typeof came === 'string' ? didYouMean(came, [...SOURCES, ...PLANNED_SOURCES]) : null;
  return `expected one of ${SOURCES.join(', ')}; got ${show(came)}${hint ? `; ${hint}` : ''}`;
}

function adviceFor(schema: z.ZodType, path: FieldPath): string {
  const example = EXAMPLES[path.join('.')];
  if (example) return `, as in \`${example}\``;
  const fallback = defaultOf(schema);
  if (fallback === undefined) return '';
  const shown = fallback === null || typeof fallback === 'object' ? '' : `, ${JSON.stringify(fallback)}`;
  return `; leave it out for the default${shown}`;
}

/** `text "abc"`, `7`, `a list`. */
function show(came: unknown): string {
  if (came === null) return 'nothing';
  if (Array.isArray(came)) return 'a list';
  if (typeof came === 'object') return 'a mapping';
  const text = typeof came === 'string' ? `text ${JSON.stringify(came)}` : JSON.stringify(came);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** A score may be written as a bare name: its field is then the score itself. */
function writtenPath(path: FieldPath, value: unknown): FieldPath {
  const parent = path.slice(0, -1);
  return typeof valueAt(value, parent) === 'string' && path.length > 0 ? parent : path;
}

/** The other keys of a remote generator are not unknown: the provider as a whole is refused. */
function belongsToProvider(path: FieldPath, value: unknown): boolean {
  const provider = valueAt(value, ['generator', 'provider']);
  return path.length === 1 && path[0] === 'generator' && provider !== undefined && provider !== LOCAL_PROVIDER;
}

function sameField(a: FieldPath, b: FieldPath): boolean {
  return a.length === b.length && startsWith(a, b);
}

/**
 * The value without what the schema refused: unknown keys gone, wrong values left to their defaults, so that the checks
 * across fields can still run. `null` where a list entry itself is wrong.
 */
export function withoutRefused(value: unknown, findings: Finding[]): unknown {
  const copy: unknown = structuredClone(value);
  for (const { path } of findings) {
    const parent = valueAt(copy, path.slice(0, -1));
    const key = path.at(-1);
    if (parent === undefined || typeof key !== 'string') return null;
    if (isRecord(parent)) delete parent[key];
  }
  if (isRecord(copy) && isRecord(copy['generator'])) {
    const known = keysAt(['generator'], copy);
    for (const key of Object.keys(copy['generator'])) if (!known.includes(key)) delete copy['generator'][key];
  }
  return copy;
}
