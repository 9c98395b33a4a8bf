/** Parquet files as Hugging Face's `datasets` writes them: `image` is a struct of bytes and path, `text` a string. */
import { parquetWriteBuffer } from 'hyparquet-writer';

export interface ParquetRow {
  /** An encoded picture. */
  image: Uint8Array | null;
  text: string;
  /** A column of its own where a row has it. */
  feedback?: string | null;
}

export function writeParquet(rows: ParquetRow[], rowGroupSize = 1000): Uint8Array {
  const hasFeedback = rows.some(({ feedback }) => feedback !== undefined);
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'image', data: rows.map(({ image }) => (image === null ? null : { bytes: image, path: null })) },
      { name: 'text', data: rows.map(({ text }) => text) },
      ...(hasFeedback ? [{ name: 'feedback', data: rows.map(({ feedback }) => feedback ?? null) }] : []),
    ],
    schema: [
      { name: 'root', num_children: hasFeedback ? 3 : 2 },
      { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      ...(hasFeedback
        ? [{ name: 'feedback', type: 'BYTE_ARRAY' as const, converted_type: 'UTF8' as const, repetition_type: 'OPTIONAL' as const }]
        : []),
    ],
    rowGroupSize,
  });
  return new Uint8Array(buffer);
}
