/** Parquet files as Hugging Face's `datasets` writes them: `image` is a struct of bytes and path, `text` a string. */
import { parquetWriteBuffer } from 'hyparquet-writer';

export interface ParquetRow {
  /** An encoded picture. */
  image: Uint8Array | null;
  text: string;
}

export function writeParquet(rows: ParquetRow[], rowGroupSize = 1000): Uint8Array {
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'image', data: rows.map(({ image }) => (image === null ? null : { bytes: image, path: null })) },
      { name: 'text', data: rows.map(({ text }) => text) },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ],
    rowGroupSize,
  });
  return new Uint8Array(buffer);
}
