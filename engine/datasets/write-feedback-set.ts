import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import type { RunManifest } from '../../core/recipe.js';
import type { Digest } from '../../core/types.js';
import { cardLicence } from '../card-licence.js';
import { orLoss } from '../storage/artifact-store.js';
import { messageOf } from '../storage/file-errors.js';
import type { Store } from '../storage/store.js';
import { feedbackCard } from './feedback-card.js';
import { chooseFeedback, SPLITS, type ChosenFeedback, type FeedbackChoice, type FeedbackRow, type FeedbackSplit } from './feedback-rows.js';

/** `feedback-set.json` at the root of a feedback set, and what `export --as feedback-set --json` prints. */
export interface FeedbackSetDocument {
  version: 1;
  run: string;
  recipeDigest: Digest;
  /** The dataset as the recipe names it. */
  dataset: string;
  arm: string;
  /** Items that were drawn. */
  sample: { n: number; seed: number };
  /** Share of the items that was asked for. */
  validation: number;
  /** Rows. */
  counts: Record<FeedbackSplit, number>;
  texts: ChosenFeedback['texts'];
  /** Items, or single rounds of them, without a row, and why. */
  left: Array<{ id: string; reason: string }>;
  /** Over the canonical JSON of all rows, those of training first. */
  digest: Digest;
}

/**
 * Writes what a run's feedback teaches as a dataset in Hugging Face's imagefolder layout: a folder a split with its pictures and `metadata.jsonl`, a card, and
 * `feedback-set.json` last, so that a folder with it is whole. The same store and choice give the same files.
 * @throws InvalidInput for an unknown run or arm, where nothing is left to write, and where the folder cannot be written
 */
export async function writeFeedbackSet(store: Store, runId: string, folder: string, choice: FeedbackChoice): Promise<FeedbackSetDocument> {
  const manifest = await store.run(runId).readManifest();
  if (!manifest)
    throw new InvalidInput(`there is no run ${runId} in ${store.uri}; known runs: ${(await store.listRuns()).join(', ') || 'none'}`);
  const chosen = await chooseFeedback(store, manifest, choice);
  const left = [...chosen.left];
  const written: Record<FeedbackSplit, FeedbackRow[]> = { train: [], validation: [] };
  try {
    for (const split of SPLITS) {
      if (chosen.splits[split].length === 0) continue;
      await mkdir(join(folder, split), { recursive: true });
      for (const row of chosen.splits[split]) {
        const picture = await orLoss(store.getArtifact(row.pictureDigest));
        if (picture instanceof StorageUnavailable) left.push({ id: row.id, reason: `round ${row.round}: ${picture.message}` });
        else {
          await put(join(folder, split, row.file_name), picture);
          written[split].push(row);
        }
      }
      await put(join(folder, split, 'metadata.jsonl'), written[split].map((row) => `${JSON.stringify(row)}\n`).join(''));
    }
    const document = describe(manifest, chosen, choice, written, left);
    await put(join(folder, 'README.md'), feedbackCard(document, (await licenceOf(manifest)) ?? 'unknown'));
    await put(join(folder, 'feedback-set.json'), `${JSON.stringify(document, null, 2)}\n`);
    return document;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined || error instanceof StorageUnavailable) throw error;
    throw new InvalidInput(`${folder} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

function describe(
  { runId, recipeDigest, recipe }: RunManifest,
  { arm, items, texts }: ChosenFeedback,
  { seed, validation }: FeedbackChoice,
  written: Record<FeedbackSplit, FeedbackRow[]>,
  left: FeedbackSetDocument['left'],
): FeedbackSetDocument {
  return {
    version: 1,
    run: runId,
    recipeDigest,
    dataset: recipe.dataset.uri,
    arm,
    sample: { n: items, seed },
    validation,
    counts: { train: written.train.length, validation: written.validation.length },
    texts,
    left,
    digest: digestOf(canonicalJson([...written.train, ...written.validation])),
  };
}

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.partial`, content);
  await rename(`${path}.partial`, path);
}

/** The pictures are the run's, the captions and words the dataset's: its licence holds, where its card says one. */
function licenceOf({ datasetUri }: RunManifest): Promise<string | undefined> {
  return datasetUri.startsWith('file:') ? cardLicence(fileURLToPath(datasetUri)) : Promise.resolve(undefined);
}
