import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from './colours.js';
import type { RunManifest } from '../../core/recipe.js';
import { objectUri, openStore, type Store } from '../../engine/storage/index.js';
import { isOver } from '../client/status.js';
import { headline, writeReport, type ReportFormat, type ReportInput, type ResultsDocument } from '../report/index.js';
import { formatDelta, formatInterval } from '../report/format.js';
import { table } from './output.js';

export interface SavedReport {
  /** Where the page is: a path for a folder, a key under the store's URI elsewhere. */
  html: string;
  results: ResultsDocument;
}

/** Everything a report is made of, read from the store. */
export async function reportInput(store: Store, runId: string): Promise<ReportInput> {
  const files = store.run(runId);
  const items = (await files.readIndexSummary())?.items ?? 0;
  const state = await files.readState();
  const manifest = (await files.readManifest())!;
  return {
    manifest,
    items: items > 0 ? await files.readIndexRange(0, items) : [],
    records: await files.listItems(),
    skipped: await files.readSkipped(),
    plan: (await files.readPlan()) ?? null,
    ledger: await store.readLedger(runId, { closed: state !== undefined && isOver(state.state) }),
    taughtWith: await taughtWith(store, manifest),
    readText: async (value) => value.text ?? Buffer.from(await store.getArtifact(value.ref!)).toString('utf8'),
    readBlob: (digest) => store.getArtifact(digest),
  };
}

/** Feedback that the run's models were trained on, by the path as it stands in the recipe; without those whose list is gone from the store. */
async function taughtWith(store: Store, { models }: RunManifest): Promise<Record<string, string[]>> {
  const texts: Record<string, string[]> = {};
  for (const [path, { trainingFeedback }] of Object.entries(models)) {
    if (trainingFeedback === undefined || !(await store.hasArtifact(trainingFeedback))) continue;
    texts[path] = JSON.parse(Buffer.from(await store.getArtifact(trainingFeedback)).toString('utf8')) as string[];
  }
  return texts;
}

/** Writes the run's report into its folder in the store. */
export async function saveReport(storeUri: string, runId: string, formats?: readonly ReportFormat[]): Promise<SavedReport> {
  const store = await openStore(storeUri);
  const files = store.run(runId);
  const { results } = await writeReport(await reportInput(store, runId), (name, content) => files.writeReport(name, content), formats);
  return { html: placeOf(storeUri, files.reportKey('index.html')), results };
}

export function placeOf(storeUri: string, key: string): string {
  return storeUri.startsWith('file:') ? join(fileURLToPath(storeUri), key) : objectUri(storeUri, key);
}

/** The report's first lines on a terminal: what pays, and the arms by the primary score. */
export function reportSummary(results: ResultsDocument): string {
  const { primary } = results;
  const { sentence, notes } = headline(results);
  const rows = results.arms.map((arm) => {
    const fixed = arm.scores[primary]?.fixed;
    const versus = (other: { mean: number | null; ci95: [number, number] | null } | null | undefined) =>
      other ? `${formatDelta(other.mean, primary)} ${formatInterval(other.ci95, primary)}` : '–';
    const gain = fixed ? `${formatDelta(fixed.gainMean, primary)} ${formatInterval(fixed.ci95, primary)}` : '–';
    return [
      arm.oracle ? `${arm.name} (oracle)` : arm.name,
      arm.n,
      arm.generatorCalls,
      gain,
      versus(fixed?.vsControl),
      versus(fixed?.vsPlacebo),
    ];
  });
  const head = ['arm', 'n', 'images', `${primary}: gain over round 0`, 'over control', 'over placebo'];
  return [pc.bold(sentence), ...[...results.deviations, ...notes].map((line) => pc.dim(line)), '', table(head, rows)].join('\n');
}
