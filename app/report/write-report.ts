import { digestOf } from '../../core/content-hash.js';
import type { Digest } from '../../core/types.js';
import type { LedgerRow } from '../../engine/storage/ledger-rows.js';
import { feedbackCsv, resultsCsv } from './formats/csv.js';
import { resultsLatex } from './formats/latex.js';
import { resultsMarkdown } from './formats/markdown.js';
import { paperTables } from './formats/paper-tables.js';
import { isFolder, reportPages } from './page/page.js';
import { inlinePictures, picturesOf, thumbnailFiles } from './page/pictures.js';
import type { ReportSink } from './report-sink.js';
import type { ResultsDocument } from './results-document.js';
import { buildResults, type ResultsInput } from './results.js';
import { buildTimings, type Timings } from './timings.js';

export interface ReportInput extends ResultsInput {
  /** Bytes of a picture; may reject, the page then says so in its place. */
  readBlob(digest: Digest): Promise<Uint8Array>;
  /** Without it there are no timings. */
  ledger?: readonly LedgerRow[];
}

interface Prepared {
  input: ReportInput;
  results: ResultsDocument;
  timings: Timings | null;
}

/** The formats: the file that a reader opens first, and what writes it and all that belongs to it. */
const formats = {
  html: {
    file: 'index.html',
    write: async ({ input, results, timings }, sink) => {
      const readBlob = (digest: Digest) => input.readBlob(digest);
      const wanted = picturesOf(results);
      const pictures = isFolder(results) ? await thumbnailFiles(wanted, readBlob, sink) : await inlinePictures(wanted, readBlob);
      // The first page last: whoever finds it finds what it leads to.
      for (const { name, content } of reportPages(results, pictures, timings).reverse()) await sink(name, content);
    },
  },
  md: { file: 'report.md', write: ({ results }, sink) => sink('report.md', resultsMarkdown(results)) },
  csv: {
    file: 'report.csv',
    write: async ({ results }, sink) => {
      await sink('feedback.csv', feedbackCsv(results));
      await sink('report.csv', resultsCsv(results));
    },
  },
  json: { file: 'report.json', write: ({ results }, sink) => sink('report.json', resultsJson(results)) },
  tex: { file: 'report.tex', write: ({ results }, sink) => sink('report.tex', resultsLatex(results)) },
  paper: { file: 'paper.html', write: ({ input, results }, sink) => paperTables(results, (digest) => input.readBlob(digest), sink) },
} satisfies Record<string, { file: string; write: (prepared: Prepared, sink: ReportSink) => Promise<void> }>;

export type ReportFormat = keyof typeof formats;
export const REPORT_FORMATS = Object.keys(formats) as ReportFormat[];
/** What is written where nothing is asked for: the faces that everybody reads. */
export const USUAL_FORMATS: readonly ReportFormat[] = ['html', 'md', 'csv', 'json'];

export interface WrittenReport {
  results: ResultsDocument;
  timings: Timings | null;
  /** Files to open, by format; `timings` among them where the input has a ledger. */
  files: Partial<Record<ReportFormat | 'timings', string>>;
}

/** Writes the report in the formats asked for. Deterministic but for the timings. */
export async function writeReport(
  input: ReportInput,
  sink: ReportSink,
  wanted: readonly ReportFormat[] = USUAL_FORMATS,
): Promise<WrittenReport> {
  const results = await buildResults(input);
  const timings = input.ledger ? buildTimings(input.manifest.runId, input.ledger) : null;
  const files: WrittenReport['files'] = {};
  for (const format of wanted) {
    await formats[format].write({ input, results, timings }, sink);
    files[format] = formats[format].file;
  }
  if (timings) {
    await sink('timings.json', resultsJson(timings));
    files.timings = 'timings.json';
  }
  return { results, timings, files };
}

export const resultsJson = (value: ResultsDocument | Timings): string => `${JSON.stringify(value, null, 2)}\n`;

/** What a run came to, under whatever id: SHA-256 of `report --json` without its `runId`. Equal results have equal digests. */
export const resultsDigest = ({ runId: _, ...results }: ResultsDocument): Digest => digestOf(JSON.stringify(results));
