import { isAlias, isMap, isScalar, isSeq, LineCounter, parse, parseDocument, type Document, type Node } from 'yaml';
import type { RecipeIssue } from './recipe-error.js';

export type FieldPath = Array<string | number>;

/** What was written: the plain value, overrides applied, and where each field came from. */
export interface RecipeSource {
  value: unknown;
  issues: RecipeIssue[];
  /** File and line, or the option, that a field was written in; for a field that is absent, its nearest parent's. */
  locate(path: FieldPath): { file: string; line: number | null };
}

/**
 * Reads a recipe's text and applies `--set key=value` overrides (dotted paths, YAML values; list entries by number or name).
 * Never throws: what cannot be read is in `issues`.
 * @param flag the option that the overrides came by
 */
export function readRecipeSource(text: string, file: string, overrides: string[], flag = '--set'): RecipeSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const issues: RecipeIssue[] = document.errors.map((error) => ({
    file,
    line: lines.linePos(error.pos[0]).line,
    field: '',
    message: `not valid YAML: ${error.message}`,
  }));
  const set: Array<{ option: string; path: FieldPath }> = [];
  const locate = (path: FieldPath) => {
    // An option may also have made the mapping around its field.
    const override = set.findLast((o) => startsWith(path, o.path) || (startsWith(o.path, path) && !document.hasIn(path)));
    if (override) return { file: override.option, line: null };
    return { file, line: lines.linePos(offsetOf(document, path)).line };
  };
  if (issues.length > 0) return { value: undefined, issues, locate };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    issues.push({ file, line: 1, field: '', message: `not valid YAML: ${messageOf(error)}` });
    return { value, issues, locate };
  }
  if (!isRecord(value)) {
    const came = value === null ? 'the file is empty' : 'the file holds no mapping';
    issues.push({ file, line: 1, field: '', message: `${came}; a recipe is a YAML mapping that begins with \`name: ...\`` });
    return { value, issues, locate };
  }
  for (const override of overrides) {
    const option = `${flag} ${override}`;
    const result = applyOverride(value, override);
    if ('path' in result) set.push({ option, path: result.path });
    else issues.push({ file: option, line: null, field: result.field, message: result.message });
  }
  return { value, issues, locate };
}

/** The value at a path, `undefined` where there is none. */
export function valueAt(value: unknown, path: FieldPath): unknown {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string | number, unknown>)[key];
  }
  return at;
}

/** `arms[1].feedback.from` for `['arms', 1, 'feedback', 'from']`. */
export function fieldName(path: FieldPath): string {
  return path.reduce<string>((name, key) => (typeof key === 'number' ? `${name}[${key}]` : name ? `${name}.${key}` : key), '');
}

export function startsWith(path: FieldPath, prefix: FieldPath): boolean {
  return prefix.length <= path.length && prefix.every((key, i) => key === path[i]);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

type Applied = { path: FieldPath } | { field: string; message: string };

function applyOverride(root: Record<string, unknown>, override: string): Applied {
  const equals = override.indexOf('=');
  const field = (equals < 0 ? override : override.slice(0, equals)).trim();
  // What a grid goes over is a field's dotted name.
  const keys = field.startsWith('grid.') ? ['grid', field.slice('grid.'.length)] : field.split('.');
  if (equals < 0 || keys.some((key) => key === '')) {
    return { field: '', message: 'expected key=value with a dotted key, as in `--set generator.num_inference_steps=20`' };
  }
  let value: unknown;
  try {
    value = parse(override.slice(equals + 1));
  } catch (error) {
    return { field: keys.join('.'), message: `the value is not valid YAML: ${messageOf(error).split('\n')[0]}` };
  }
  const path: FieldPath = [];
  let at: unknown = root;
  for (const [i, key] of keys.entries()) {
    const last = i === keys.length - 1;
    if (Array.isArray(at)) {
      const index = /^\d+$/.test(key) ? Number(key) : at.findIndex((entry) => isRecord(entry) && entry['name'] === key);
      if (index < 0 || index > at.length || (index === at.length && !last)) {
        return {
          field: keys.join('.'),
          message: `${fieldName(path)} has no entry \`${key}\`; name one of its ${at.length} by number (from 0) or name`,
        };
      }
      path.push(index);
      if (last) at[index] = value;
      at = at[index];
    } else if (isRecord(at)) {
      path.push(key);
      if (last) define(at, key, value);
      else if (!Object.hasOwn(at, key) || at[key] === null) define(at, key, {});
      at = at[key];
    } else {
      return { field: keys.join('.'), message: `${fieldName(path)} is ${JSON.stringify(at)}, which has no fields` };
    }
  }
  return { path };
}

/** Also right for a key such as `__proto__`. */
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

/** Where the deepest part of a path that was written begins: a mapping's key, a list's entry. */
function offsetOf(document: Document, path: FieldPath): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find((p) => String(isScalar(p.key) ? p.key.value : p.key) === String(key));
      if (!pair) break;
      offset = startOf(pair.key) ?? offset;
      next = pair.value;
    } else if (isSeq(node) && typeof key === 'number' && key < node.items.length) {
      next = node.items[key];
      offset = startOf(next) ?? offset;
    } else break;
    node = next;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null)?.range?.[0];
}
