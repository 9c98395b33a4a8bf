import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../core/types.js';
import type { LedgerRow } from '../../engine/storage/ledger-rows.js';
import { resultsCsv } from './csv.js';
import { reportHtml } from './html.js';
import { resultsMarkdown } from './markdown.js';
import { inlinePictures } from './pictures.js';
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

/** The formats, each with its file's name. */
const formats = {
  html: {
    file: 'index.html',
    render: async ({ input, results, timings }: Prepared) =>
      reportHtml(results, await inlinePictures(results, (d) => input.readBlob(d)), timings),
  },
  md: { file: 'report.md', render: async ({ results }: Prepared) => resultsMarkdown(results) },
  csv: { file: 'report.csv', render: async ({ results }: Prepared) => resultsCsv(results) },
  json: { file: 'report.json', render: async ({ results }: Prepared) => resultsJson(results) },
} satisfies Record<string, { file: string; render: (prepared: Prepared) => Promise<string> }>;

export type ReportFormat = keyof typeof formats;
export const REPORT_FORMATS = Object.keys(formats) as ReportFormat[];

export interface RenderedReport {
  results: ResultsDocument;
  timings: Timings | null;
  /** `timings.json` is among them where the input has a ledger. */
  files: Array<{ format: ReportFormat | 'timings'; name: string; content: string }>;
}

/** The report in the formats asked for, in memory: for a store that is no folder. */
export async function renderReport(input: ReportInput, wanted: readonly ReportFormat[] = REPORT_FORMATS): Promise<RenderedReport> {
  const results = await buildResults(input);
  const timings = input.ledger ? buildTimings(input.manifest.runId, input.ledger) : null;
  const files: RenderedReport['files'] = [];
  for (const format of wanted) {
    files.push({ format, name: formats[format].file, content: await formats[format].render({ input, results, timings }) });
  }
  if (timings) files.push({ format: 'timings', name: 'timings.json', content: resultsJson(timings) });
  return { results, timings, files };
}

/** Writes the report into a folder; each file appears whole or not at all. Returns the paths by format. */
export async function writeReport(
  input: ReportInput,
  { outDir, formats: wanted }: { outDir: string; formats?: readonly ReportFormat[] },
): Promise<RenderedReport & { paths: Partial<Record<ReportFormat | 'timings', string>> }> {
  const rendered = await renderReport(input, wanted);
  await mkdir(outDir, { recursive: true });
  const paths: Partial<Record<ReportFormat | 'timings', string>> = {};
  for (const { format, name, content } of rendered.files) {
    const path = join(outDir, name);
    const temporary = `${path}.${randomUUID()}.tmp`;
    await writeFile(temporary, content);
    await rename(temporary, path);
    paths[format] = path;
  }
  return { ...rendered, paths };
}

export const resultsJson = (value: ResultsDocument | Timings): string => `${JSON.stringify(value, null, 2)}\n`;
