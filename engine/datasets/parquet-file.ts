import {
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type AsyncBuffer,
  type FileMetaData,
} from 'hyparquet';

import { InvalidInput } from '../../core/errors.js';
import { messageOf } from '../storage/file-errors.js';
import type { RawRow } from './dataset-rows.js';
import type { Table } from './table-files.js';

export const isParquet = (file: string): boolean => /\.parquet$/i.test(file);

/** A picture in a Parquet file, as Hugging Face's `Image` feature stores it: a struct of `bytes` and `path`. Read when it is asked for. */
export class EmbeddedImage {
  constructor(
    private readonly file: string,
    private readonly column: string,
    /** From 0. */
    private readonly row: number,
  ) {}

  /** For messages. */
  get name(): string {
    return `${this.file}:${this.row + 1} (${this.column})`;
  }

  /** The encoded picture; `null` where the row has none. Throws InvalidInput, which names the file, when it cannot be read. */
  async read(): Promise<Uint8Array | null> {
    const group = await imagesOf(this.file, this.column, this.row);
    return group.images[this.row - group.start] ?? null;
  }
}

/** Rows of a Parquet file without its pictures, which are {@link EmbeddedImage}s. Throws InvalidInput, which names the file. */
export async function readParquet(path: string, file: string): Promise<Table> {
  return readable(path, async ({ buffer, metadata }) => {
    const { children } = parquetSchema(metadata);
    const names = children.map(({ element }) => element.name);
    const pictures = children
      .filter((column) => column.children.some(({ element }) => element.name === 'bytes'))
      .map(({ element }) => element.name);
    const columns = names.filter((name) => !pictures.includes(name));
    const objects = columns.length > 0 ? await parquetReadObjects({ file: buffer, metadata, columns }) : [];
    const rows = Array.from({ length: Number(metadata.num_rows) }, (_, row): RawRow => {
      const values = Object.entries((objects[row] ?? {}) as Record<string, unknown>).map(([name, value]) => [name, plain(value)] as const);
      const images = pictures.map((name) => [name, new EmbeddedImage(path, name, row)] as const);
      return { file, line: row + 1, values: Object.fromEntries([...values, ...images]) };
    });
    return { columns: names, rows };
  });
}

interface Group {
  /** Its first row in the file. */
  start: number;
  images: Array<Uint8Array | null>;
}

/** The row group that was read last: pictures are asked for one after another, and a group is decoded as a whole. */
let last: { key: string; group: Promise<Group> } | undefined;

function imagesOf(path: string, column: string, row: number): Promise<Group> {
  return readable(path, async ({ buffer, metadata }) => {
    let start = 0;
    const index = metadata.row_groups.findIndex(({ num_rows: rows }) => {
      if (row < start + Number(rows)) return true;
      start += Number(rows);
      return false;
    });
    const key = `${path}\n${column}\n${index}\n${buffer.byteLength}`;
    if (last?.key !== key) {
      const rowEnd = start + Number(metadata.row_groups[index]!.num_rows);
      // Bytes are bytes, and a path in the struct is not needed.
      const read = parquetReadObjects({ file: buffer, metadata, columns: [column], rowStart: start, rowEnd, utf8: false });
      const group = read.then((rows) => ({ start, images: rows.map((values) => bytesOf(values[column])) }));
      last = { key, group };
      group.catch(() => (last = undefined));
    }
    return last.group;
  });
}

function bytesOf(image: unknown): Uint8Array | null {
  const bytes = (image as { bytes?: unknown } | null)?.bytes;
  return bytes instanceof Uint8Array ? bytes : null;
}

/** 64-bit numbers as plain ones where they fit: ids are written so. */
function plain(value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

async function readable<T>(path: string, work: (file: { buffer: AsyncBuffer; metadata: FileMetaData }) => Promise<T>): Promise<T> {
  try {
    const buffer = await asyncBufferFromFile(path);
    return await work({ buffer, metadata: await parquetMetadataAsync(buffer) });
  } catch (error) {
    throw new InvalidInput(`${path} cannot be read as Parquet: ${messageOf(error)}`, { cause: error });
  }
}
