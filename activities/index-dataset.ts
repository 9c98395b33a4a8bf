import { worstCaseImages } from '../core/item-plan.js';
import { feedbackColumns, trainedOnByModel, type BudgetRecipe } from '../core/recipe.js';
import type { ItemRecord } from '../core/types.js';
import { buildIndex, readDataset, restoreRows, sampleRows, type BuildIndexInput } from '../engine/datasets/index.js';
import type { IndexSummary, LedgerRow } from '../engine/storage/index.js';
import type { RunContext } from './services.js';
import type { RestoreSkippedResult, IndexDatasetResult, IndexPageEntry, ReadIndexPageInput, ReadIndexPageResult } from './types.js';

/** Bytes of a page of the index that may travel through Temporal. */
const PAGE_BYTES = 48 * 1024;
/** Index lines whose records are looked up side by side; a page that is full leaves the rest of them to the next. */
const SCAN = 64;

/** Reads the dataset once and writes the run's index; finds it there on a retry. */
export async function indexDataset(run: RunContext, onProgress: (done: number) => void): Promise<IndexDatasetResult> {
  const { files } = run;
  const summary = (await files.readIndexSummary()) ?? (await buildIndex({ ...(await indexInput(run)), onProgress }));
  return describe(run, summary);
}

/** Takes skipped rows that were mended since into the index, so that a retry can name them. */
export async function restoreSkipped(run: RunContext, keys: string[]): Promise<RestoreSkippedResult> {
  const skipped = (await run.files.readSkipped()).some((row) => keys.includes(row.key));
  if (!skipped) return { index: await describe(run, (await run.files.readIndexSummary())!), keys };
  const restored = await restoreRows({ ...(await indexInput(run)), keys });
  return { index: await describe(run, restored.summary), keys: restored.keys };
}

async function describe(run: RunContext, { total, items, skipped }: IndexSummary): Promise<IndexDatasetResult> {
  return {
    total,
    items,
    skipped,
    worstCaseImages: worstCaseImages(run.plan),
    budget: await remaining(run),
  };
}

async function indexInput(run: RunContext): Promise<BuildIndexInput> {
  const { manifest, files, store } = run;
  const { dataset, seed } = manifest.recipe;
  const read = await readDataset(manifest.datasetUri, dataset, '/', feedbackColumns(manifest.recipe));
  return { entries: sampleRows(read.entries, dataset), store, runFiles: files, seed, trainedOn: trainedOnByModel(manifest) };
}

/** The next items of a selection, as many as fit into a payload. */
export async function readIndexPage(
  { files }: RunContext,
  { selection, from, to, limit }: ReadIndexPageInput,
): Promise<ReadIndexPageResult> {
  const entries: IndexPageEntry[] = [];
  let bytes = 0;
  for (let offset = from; offset < to;) {
    const range = await files.readIndexRange(offset, Math.min(SCAN, to - offset));
    const records = await files.readItems(range.map(({ key }) => key));
    for (const [i, item] of range.entries()) {
      const { id, key } = item;
      if (isSelected(selection, key, records[i])) {
        const entry = { offset: item.offset, id, key, summary: item.caption.replace(/\s+/g, ' ').trim().slice(0, 120) };
        bytes += JSON.stringify(entry).length * 2;
        if (entries.length === limit || (bytes > PAGE_BYTES && entries.length > 0)) return { entries, next: item.offset };
        entries.push(entry);
      }
      offset = item.offset + 1;
    }
  }
  return { entries, next: null };
}

function isSelected(selection: ReadIndexPageInput['selection'], key: string, record: ItemRecord | undefined): boolean {
  switch (selection.kind) {
    case 'missing':
      return record === undefined || record.state === 'cancelled';
    case 'failed':
      return record === undefined || record.state === 'failed' || record.state === 'cancelled';
    case 'items':
      return selection.keys.includes(key);
  }
}

/** What the recipe's budget leaves after all attempts so far, also those that came to nothing or belong to items that did not end. */
async function remaining({ manifest, store }: RunContext): Promise<BudgetRecipe> {
  const { budget } = manifest.recipe;
  if (budget.images === null && budget.seconds === null && budget.usd === null) return budget;
  const attempts = (await store.readLedger(manifest.runId, { closed: true })).filter(({ status }) => status !== 'recorded');
  const left = (limit: number | null, of: (attempt: LedgerRow) => number | null) =>
    limit === null ? null : Math.max(0, limit - attempts.reduce((sum, attempt) => sum + (of(attempt) ?? 0), 0));
  return {
    images: left(budget.images, ({ step }) => (step === 'generate' ? 1 : 0)),
    seconds: left(budget.seconds, ({ seconds }) => seconds),
    usd: left(budget.usd, ({ usd }) => usd),
  };
}
