import { readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';
import type { Digest } from '../../core/types.js';
import { fileExists } from '../inference/file-exists.js';
import { messageOf } from '../storage/file-errors.js';
import { feedbackTexts } from './dataset-rows.js';
import { SPLITS } from './feedback-rows.js';
import { readCsv, readJsonLines } from './table-files.js';

const COLUMN = 'feedback';

/**
 * Texts of a set of feedback: a line each of a `.txt` file, the column `feedback` of JSON lines, CSV or TSV (a list holds one a round),
 * as a dataset's metadata has it, or what a feedback set's folder has in `train/`.
 * @throws InvalidInput with file, line and field where one is not readable
 */
export async function readFeedbackSet(named: string): Promise<string[]> {
  const isFolder = (await stat(named).catch(() => null))?.isDirectory() ?? false;
  const path = isFolder ? join(named, 'train/metadata.jsonl') : named;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const why = `${path}: cannot be read (${messageOf(error)})`;
    throw new InvalidInput(`${why}; name a .txt, .jsonl, .csv or .tsv file of feedback, or the folder of a feedback set`);
  }
  const texts = readTexts(bytes, path);
  if (texts.length === 0) throw new InvalidInput(`${path}: holds no feedback; there is nothing to hold the arms' feedback against`);
  return texts;
}

/** What a model that was trained on a feedback set knows. */
export interface Taught {
  /** Digests of the true images of its items, each once. */
  items: Digest[];
  /** Items without one, which nothing can list. */
  unlisted: number;
  /** Texts of `train/`, each once. */
  feedback: string[];
}

/**
 * What a feedback set teaches; `null` for a folder or file that is none. Validation counts among the items: a model was chosen by them.
 * @throws InvalidInput where a file of it is not readable
 */
export async function readTaught(folder: string): Promise<Taught | null> {
  if (!(await fileExists(join(folder, 'feedback-set.json')))) return null;
  const items = new Set<Digest>();
  const unlisted = new Set<unknown>();
  for (const split of SPLITS) {
    const path = join(folder, split, 'metadata.jsonl');
    if (!(await fileExists(path))) continue;
    for (const { line, values, error } of readJsonLines(await readFile(path), path).rows) {
      if (error !== undefined) throw new InvalidInput(`${path}:${line}: ${error}`);
      const { id, itemDigest } = values;
      if (typeof itemDigest === 'string') items.add(itemDigest as Digest);
      else unlisted.add(id);
    }
  }
  return { items: [...items], unlisted: unlisted.size, feedback: [...new Set(await readFeedbackSet(folder))] };
}

function readTexts(bytes: Uint8Array, path: string): string[] {
  const kind = extname(path).toLowerCase();
  if (kind === '.txt') return new TextDecoder().decode(bytes).split('\n').map((line) => line.trim()).filter(Boolean); // prettier-ignore
  const file = basename(path);
  if (!['.jsonl', '.csv', '.tsv'].includes(kind)) {
    throw new InvalidInput(`${path}: a set of feedback is a .txt, .jsonl, .csv or .tsv file; got ${kind === '' ? 'no extension' : kind}`);
  }
  const { columns, rows } = kind === '.jsonl' ? readJsonLines(bytes, file) : readCsv(bytes, file, path);
  if (rows.length > 0 && !columns.includes(COLUMN)) {
    throw new InvalidInput(`${path}: there is no column ${COLUMN}; it has ${columns.join(', ') || 'none'}`);
  }
  return rows.flatMap(({ line, values, error }) => {
    if (error !== undefined) throw new InvalidInput(`${path}:${line}: ${error}`);
    const texts = feedbackTexts(values[COLUMN]);
    if (texts === undefined) throw new InvalidInput(`${path}:${line}: ${COLUMN}: expected text or a list of texts`);
    return texts;
  });
}
