import { promises as fs } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import leven from 'leven';
import { InvalidInput } from '../../core/errors.js';
import type { DatasetRecipe } from '../../core/recipe.js';
import { datasetUri, findSplit, isMetadata, parquetOfSplit, READ_NOW, statDataset } from './dataset-location.js';
import { checkRows, type DatasetEntry, type RawRow } from './dataset-rows.js';
import { IMAGE_NAME } from './image-file.js';
import { EmbeddedImage, isParquet, readParquet } from './parquet-file.js';
import { readCsv, readJsonLines, type Table } from './table-files.js';
import { isCaption, listFiles, readTextPairs } from './text-pairs.js';

export interface Dataset {
  /** Absolute `file:///...` URI. */
  uri: string;
  /** Every row in dataset order; those that cannot be used are `skipped` with a reason. */
  entries: DatasetEntry[];
  hasImages: boolean;
  /** Names of all columns. */
  columns: string[];
}

/** Rows before they are checked, with where they came from. */
interface Found extends Table {
  /** Of the file or folder that the columns belong to: for errors. */
  path: string;
  /** Relative image names are relative to it. */
  imageFolder: string;
  /** True: a folder that holds images, so that its rows must name them. */
  needsImages: boolean;
}

/**
 * Reads a dataset's rows; images are not opened yet ({@link loadImage}).
 * @param feedbackColumns columns that arms name; `columns.feedback` is read too where it is there
 * @throws InvalidInput where the dataset as a whole cannot be used: path, split, layout, columns
 */
export async function readDataset(
  uri: string,
  recipe: Pick<DatasetRecipe, 'split' | 'columns' | 'strata'>,
  baseDir: string,
  feedbackColumns: readonly string[] = [],
): Promise<Dataset> {
  const absolute = datasetUri(uri, baseDir);
  const path = fileURLToPath(absolute);
  const found = (await statDataset(path)).isDirectory() ? await readFolder(path, recipe) : await readFile(path, recipe.split);
  if (found.rows.length === 0) throw new InvalidInput(`the dataset ${found.path} is empty; it needs a row for every item`);
  if (found.rows.every((row) => row.error !== undefined)) {
    const first = found.rows[0];
    throw new InvalidInput(`no row of the dataset ${found.path} can be read; the first: ${first?.file}:${first?.line}: ${first?.error}`);
  }
  const { columns } = recipe;
  requireColumn(found, columns.caption, 'caption');
  for (const column of feedbackColumns) requireColumn(found, column, 'feedback');
  for (const column of recipe.strata) if (!found.columns.includes(column)) requireColumn(found, column.split('.')[0]!, 'strata');
  const hasImages = found.columns.includes(columns.image);
  if (!hasImages && (found.needsImages || nearest(columns.image, found.columns) !== undefined)) {
    requireColumn(found, columns.image, 'image');
  }
  const imagePath = (named: string): string => (isAbsolute(named) ? named : join(found.imageFolder, named));
  const rules = {
    columns,
    strataColumns: recipe.strata,
    feedbackColumns: [...new Set([columns.feedback, ...feedbackColumns])],
    hasImages,
    imagePath,
  };
  return { uri: absolute, entries: checkRows(found.rows, rules), hasImages, columns: found.columns };
}

async function readFolder(root: string, recipe: Pick<DatasetRecipe, 'split' | 'columns'>): Promise<Found> {
  const { folder, rowPrefix, relative } = await findSplit(root, recipe.split);
  const names = await fs.readdir(folder);
  const metadata = names.filter(isMetadata).sort();
  if (metadata.length > 1) throw new InvalidInput(`the folder ${folder} has ${metadata.join(' and ')}; keep one`);
  const [name] = metadata;
  if (name !== undefined) {
    const table = await readTable(join(folder, name), relative + name);
    const inSplit = ({ values, error }: RawRow): boolean => {
      const image = values[recipe.columns.image];
      return rowPrefix === '' || error !== undefined || (typeof image === 'string' && image.startsWith(rowPrefix));
    };
    const rows = table.rows.filter(inSplit);
    const needsImages = (await listFiles(folder)).some((file) => IMAGE_NAME.test(file));
    return { columns: table.columns, rows, path: join(folder, name), imageFolder: folder, needsImages };
  }
  const files = await listFiles(folder);
  if (files.some(isCaption)) {
    const { caption, image } = recipe.columns;
    const rows = await readTextPairs(folder, files, { caption, image }, relative);
    return { columns: [caption, image], rows, path: folder, imageFolder: folder, needsImages: true };
  }
  const parquet = files.filter(isParquet);
  if (parquet.length > 0) return readParquetFiles(folder, parquet, relative === '' ? recipe.split : null);
  const later = files.find((file) => /\.(tar|tar\.gz|tgz|arrow)$/i.test(file));
  if (later !== undefined) throw new InvalidInput(`the dataset ${folder} holds ${later}, which comes with a later version; ${READ_NOW}`);
  if (files.length === 0) throw new InvalidInput(`the dataset ${folder} is empty; ${READ_NOW}`);
  throw new InvalidInput(`the dataset ${folder} has no captions: neither metadata.jsonl or metadata.csv nor .txt files; ${READ_NOW}`);
}

/** Parquet files as the Hub lays them out, such as `data/train-00000-of-00002.parquet`: one table. */
async function readParquetFiles(folder: string, files: string[], split: string | null): Promise<Found> {
  const tables: Table[] = [];
  for (const file of parquetOfSplit(folder, files, split)) tables.push(await readParquet(join(folder, file), file));
  const columns = [...new Set(tables.flatMap((table) => table.columns))];
  const rows = tables.flatMap((table) => table.rows);
  const needsImages = rows.some(({ values }) => Object.values(values).some((value) => value instanceof EmbeddedImage));
  return { columns, rows, path: folder, imageFolder: folder, needsImages };
}

async function readFile(path: string, split: string | null): Promise<Found> {
  if (split !== null && split !== 'train') {
    throw new InvalidInput(`the dataset ${path} is one file and has no split "${split}"; leave dataset.split out`);
  }
  const table = await readTable(path, basename(path));
  return { ...table, path, imageFolder: dirname(path), needsImages: false };
}

async function readTable(path: string, file: string): Promise<Table> {
  if (/\.(jsonl|ndjson)$/i.test(file)) return readJsonLines(await fs.readFile(path), file);
  if (isParquet(file)) return readParquet(path, file);
  if (/\.(csv|tsv)$/i.test(file)) return readCsv(await fs.readFile(path), file, path);
  throw new InvalidInput(`the dataset ${path} has a layout that comes with a later version or is unknown; ${READ_NOW}`);
}

function requireColumn(found: Found, column: string, use: 'caption' | 'image' | 'feedback' | 'strata'): void {
  if (found.columns.includes(column)) return;
  const near = nearest(column, found.columns);
  const field = use === 'strata' ? 'dataset.strata' : `dataset.columns.${use}`;
  const hint = near === undefined ? `name one with ${field}` : `did you mean "${near}"? Set ${field}`;
  throw new InvalidInput(`${found.path}:1: there is no ${use} column "${column}"; the columns are ${found.columns.join(', ')}; ${hint}`);
}

/** The name that a slip of the pen away from it. */
function nearest(column: string, columns: readonly string[]): string | undefined {
  const scored = columns.map((name) => ({ name, distance: leven(name.toLowerCase(), column.toLowerCase()) }));
  const best = scored.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(column.length / 3)) ? best.name : undefined;
}
