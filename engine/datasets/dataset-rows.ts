import { itemKey } from '../../core/ids.js';
import type { DatasetRecipe } from '../../core/recipe.js';
import type { SkippedRow } from '../../core/types.js';
import type { ImageSource } from './image-file.js';
import { EmbeddedImage } from './parquet-file.js';

/** A row as its file has it, before any of it is checked. `error`: the line could not be read at all. */
export interface RawRow {
  /** Relative to the dataset's root. */
  file: string;
  /** From 1. */
  line: number;
  values: Record<string, unknown>;
  error?: string;
}

/** A row that can be used. Its image is not read yet: see {@link loadImage}. */
export interface DatasetRow {
  /** Place in the dataset, from 0, skipped rows counted. */
  position: number;
  id: string;
  key: string;
  caption: string;
  /** `null` where the dataset has no images. */
  image: ImageSource | null;
  /** Written feedback by column, one entry a round. Columns without any are left out. */
  feedback: Record<string, string[]>;
  /** Values of the strata columns; `(none)` where a row has none. */
  strata: Record<string, string>;
  source: { file: string; line: number };
}

export type DatasetEntry = { kind: 'row'; row: DatasetRow } | { kind: 'skipped'; row: SkippedRow };

export interface RowRules {
  columns: DatasetRecipe['columns'];
  feedbackColumns: readonly string[];
  /** Columns whose values split the report's tables; `a.b` reaches into an object. */
  strataColumns: readonly string[];
  /** False: no row has an image, and none is asked for. */
  hasImages: boolean;
  /** Absolute path of an image as a row names it. */
  imagePath: (named: string) => string;
}

/** Checks rows one by one. What is wrong with a row is said in its `reason`, and the rest goes on. */
export function checkRows(raw: readonly RawRow[], rules: RowRules): DatasetEntry[] {
  const takenBy = new Map<string, string>();
  return raw.map((row, position): DatasetEntry => {
    const source = { file: row.file, line: row.line };
    const at = `${row.file}:${row.line}`;
    const id = idOf(row, position, rules);
    const caption = row.values[rules.columns.caption];
    const skipped = (reason: string, key = itemKey(id)): DatasetEntry => {
      const text = typeof caption === 'string' ? caption : '';
      return { kind: 'skipped', row: { position, id, key, caption: text, reason: `${at}: ${reason}`, source } };
    };
    const first = takenBy.get(id);
    // A key of its own, so that this row's record does not replace the first one's.
    if (first !== undefined) return skipped(`the id "${id}" is already taken by ${first}`, itemKey(`${id}\n#${position}`));
    takenBy.set(id, at);
    if (row.error !== undefined) return skipped(row.error);

    const captionFault = faultOfText(caption, rules.columns.caption);
    if (captionFault !== undefined) return skipped(captionFault);
    let picture: ImageSource | null = null;
    if (rules.hasImages) {
      const image = row.values[rules.columns.image];
      const named = typeof image === 'string' ? image : '';
      const fault = image instanceof EmbeddedImage ? undefined : (faultOfText(image, rules.columns.image) ?? faultOfPath(named));
      if (fault !== undefined) return skipped(fault);
      picture = image instanceof EmbeddedImage ? image : rules.imagePath(named);
    }
    const feedback: Record<string, string[]> = {};
    for (const column of rules.feedbackColumns) {
      const texts = feedbackTexts(row.values[column]);
      if (texts === undefined) return skipped(`the column "${column}" holds neither a text nor a list of texts`);
      if (texts.length > 0) feedback[column] = texts;
    }
    const strata = Object.fromEntries(rules.strataColumns.map((column) => [column, stratumOf(row.values, column)]));
    return { kind: 'row', row: { position, id, key: itemKey(id), caption: String(caption), image: picture, feedback, strata, source } };
  });
}

/** The id column, else the image's name without its extension, else the number of the row from 1; a line that cannot be read has its place. */
function idOf(row: RawRow, position: number, rules: RowRules): string {
  const id = row.values[rules.columns.id];
  if (typeof id === 'number' || (typeof id === 'string' && id.trim() !== '')) return String(id);
  const image = row.values[rules.columns.image];
  if (rules.hasImages && typeof image === 'string' && image.trim() !== '') return image.replace(/\.[^./\\]+$/, '');
  return row.error === undefined ? String(position + 1) : `${row.file}:${row.line}`;
}

function stratumOf(values: Record<string, unknown>, column: string): string {
  const inside = (at: unknown, key: string) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined);
  const value = values[column] ?? column.split('.').reduce<unknown>(inside, values);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '(none)';
}

function faultOfText(value: unknown, column: string): string | undefined {
  if (value === undefined || value === null) return `the column "${column}" is missing`;
  if (typeof value !== 'string') return `the column "${column}" holds ${Array.isArray(value) ? 'a list' : `a ${typeof value}`}, not a text`;
  if (value.trim() === '') return `the column "${column}" is empty`;
  // Half a surrogate pair has no UTF-8 form: it would not come back from the store as it went in.
  if (/\p{Surrogate}/u.test(value)) return `the column "${column}" holds half a character (an unpaired surrogate)`;
  return undefined;
}

function faultOfPath(path: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) return `the image ${path} is not a file; download it and name the file`;
  return path.includes('\0') ? 'the image has no possible file name' : undefined;
}

/** One text a round, up to the first empty one; `undefined`: not texts. CSV holds a list as JSON. */
export function feedbackTexts(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return [];
  const list: unknown[] = Array.isArray(value) ? value : typeof value === 'string' ? (jsonList(value) ?? [value]) : [value];
  if (!list.every((entry) => entry === null || (typeof entry === 'string' && !/\p{Surrogate}/u.test(entry)))) return undefined;
  const texts = list.map((entry) => (typeof entry === 'string' ? entry : ''));
  const end = texts.findIndex((text) => text.trim() === '');
  return end === -1 ? texts : texts.slice(0, end);
}

function jsonList(text: string): unknown[] | undefined {
  if (!text.trimStart().startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
