import { parse, type Info, type CsvError } from 'csv-parse/sync';
import { InvalidInput } from '../../core/errors.js';
import { messageOf } from '../storage/file-errors.js';
import type { RawRow } from './dataset-rows.js';

/** A table of rows as read from one file. */
export interface Table {
  /** Column names of the file: the header's, or all that any line has. */
  columns: string[];
  rows: RawRow[];
}

const NOT_UTF8 = 'the line is not UTF-8 text; save the file as UTF-8';

/** JSON lines: one object a line. A line that is none becomes a row with an error. */
export function readJsonLines(bytes: Uint8Array, file: string): Table {
  const { text, wellFormed } = decode(bytes);
  const columns = new Set<string>();
  const rows: RawRow[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const row = { file, line: i + 1, values: {} };
    if (!wellFormed && line.includes('\ufffd')) {
      rows.push({ ...row, error: NOT_UTF8 });
      continue;
    }
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is no object');
      for (const column of Object.keys(value)) columns.add(column);
      rows.push({ ...row, values: { ...value } });
    } catch (error) {
      rows.push({ ...row, error: `the line is not JSON: ${messageOf(error)}` });
    }
  }
  return { columns: [...columns], rows };
}

/** CSV with a header (tab-separated where the name ends in `.tsv`). `path` names the file in errors about the header. */
export function readCsv(bytes: Uint8Array, file: string, path: string): Table {
  const { text, wellFormed } = decode(bytes);
  const broken: RawRow[] = [];
  // A quote that opens and never closes swallows the rest of the file: it is one broken row, as are stray quotes.
  const onSkip = (error: CsvError | undefined): undefined => {
    const line = typeof error?.['lines'] === 'number' ? error['lines'] : 1;
    broken.push({ file, line, values: {}, error: `the line is not CSV: ${error?.message ?? 'unreadable'}` });
  };
  const records = parse(text, {
    delimiter: /\.tsv$/i.test(file) ? '\t' : ',',
    info: true,
    raw: true,
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: onSkip,
  }) as unknown as { record: string[]; info: Info; raw: string }[];

  const [head, ...body] = records;
  const columns = (head?.record ?? []).map((name) => name.trim());
  const twice = columns.find((name, i) => columns.indexOf(name) !== i);
  if (twice !== undefined) throw new InvalidInput(`${path}:1: two columns are named "${twice}"; rename one`);
  const rows = body.map(({ record, info, raw }): RawRow => {
    const line = info.lines - (raw.trimEnd().match(/\n/g)?.length ?? 0);
    const values = Object.fromEntries(columns.flatMap((name, i) => (record[i] === undefined ? [] : [[name, record[i]]])));
    if (!wellFormed && raw.includes('\ufffd')) return { file, line, values: {}, error: NOT_UTF8 };
    if (record.length === columns.length) return { file, line, values };
    return { file, line, values, error: `the line has ${record.length} columns, the header has ${columns.length}` };
  });
  return { columns, rows: [...rows, ...broken].sort((a, b) => a.line - b.line) };
}

function decode(bytes: Uint8Array): { text: string; wellFormed: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), wellFormed: true };
  } catch {
    return { text: new TextDecoder('utf-8').decode(bytes), wellFormed: false };
  }
}
