import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ActivityServices } from '../../../activities/services.js';
import { recallItem } from '../../../activities/recall.js';
import { feedbackColumns, trainedOnByModel } from '../../../core/recipe.js';
import { itemPlan, worstCaseImages } from '../../../core/item-plan.js';
import { buildIndex, readDataset, sampleRows } from '../../../engine/datasets/index.js';
import { detectableGain } from '../../../engine/metrics/index.js';
import { openStore, type Store } from '../../../engine/storage/index.js';
import type { PreparedRun } from '../../client/prepare-run.js';
import { withCommonOptions } from '../context.js';
import { print, printJson, seconds } from '../output.js';
import { prepare, type RunOptions } from './run.js';

/** What a run would take. `null`: not known before something like it has run on this store. */
export interface RunPlan {
  runId: string;
  items: number;
  skipped: number;
  arms: string[];
  images: { worstCase: number; recorded: number };
  steps: { recorded: number };
  seconds: number | null;
  /** `null`: an arm calls a provider, and what it asks for is known when it is called. */
  usd: number | null;
  /** Items that a model of the recipe was trained on: they run, and stand in no mean. */
  trainedOn: number;
  /** The smallest mean gain that n items show with 80% power at 5%, in standard deviations of the paired differences. */
  detectableGain: { n: number; standardDeviations: number | null };
}

export function planCommand(program: Command): void {
  const command = program
    .command('plan')
    .description('what a run would take: images, time, steps already recorded, the gain that n can show; spends nothing')
    .argument('<recipe>', 'YAML file')
    .option('--run <id>', 'id of the run')
    .option('--set <key=value>', 'set a field of the recipe; may be repeated', (value: string, before: string[]) => [...before, value], []);
  withCommonOptions(command).action(async (recipe: string, options: RunOptions) => {
    const prepared = await prepare(recipe, options);
    const plan = await planRun(prepared);
    if (options.json) return printJson(plan);
    const { images, detectableGain: gain } = plan;
    print(`run        ${plan.runId}`);
    print(
      `items      ${plan.items}${plan.skipped > 0 ? `, and ${plan.skipped} rows that would be skipped` : ''}, arms ${plan.arms.join(', ')}`,
    );
    print(`images     ${images.worstCase} at most, ${images.recorded} of them recorded already`);
    print(`steps      ${plan.steps.recorded} recorded already`);
    print(
      `time       ${plan.seconds === null ? 'not known before a first run on this store' : `about ${seconds(plan.seconds)} of device time`}`,
    );
    print(
      `cost       ${plan.usd === null ? 'not known before: an arm calls a provider; see `budget.usd`' : '0 USD: every model is local'}`,
    );
    if (plan.trainedOn > 0)
      print(`left out   ${plan.trainedOn} items that a model of the recipe was trained on: they run, and stand in no mean`);
    print(
      `n=${gain.n}: ${gain.standardDeviations === null ? 'too few items for a test' : `a mean gain of ${gain.standardDeviations.toFixed(2)} standard deviations of the paired differences is found with 80% power`}`,
    );
  });
}

/** Indexes the dataset into a folder that is thrown away and looks up what is recorded. Runs no model. */
export async function planRun({ manifest, storeUri }: PreparedRun): Promise<RunPlan> {
  const scratch = await mkdtemp(join(tmpdir(), 'refineloop-plan-'));
  try {
    const [store, index] = [await openStore(storeUri), await openStore(scratch)];
    const { recipe } = manifest;
    const files = index.run(manifest.runId);
    const { entries } = await readDataset(manifest.datasetUri, recipe.dataset, '/', feedbackColumns(recipe));
    const { items, skipped } = await buildIndex({
      entries: sampleRows(entries, recipe.dataset),
      store: index,
      runFiles: files,
      seed: recipe.seed,
      trainedOn: trainedOnByModel(manifest),
    });
    const plan = itemPlan(recipe);
    const ledger = index.ledgerWriter(manifest.runId, 'plan');
    const services = new ActivityServices({ worker: 'plan', host: null });
    const counts = { images: 0, steps: 0, trainedOn: 0 };
    for (let offset = 0; offset < items; offset++) {
      const { id, key, trainedOn } = await files.readIndexed(offset);
      if (trainedOn.length > 0) counts.trainedOn += 1;
      const item = { run: { runId: manifest.runId, store: storeUri }, offset, id, key };
      const { recalled } = await recallItem(services, { manifest, plan, store, files, ledger }, item);
      counts.images += Object.keys(recalled).filter((name) => name.endsWith('/generate')).length;
      counts.steps += Object.keys(recalled).length;
    }
    const worstCase = items * worstCaseImages(plan);
    const perImage = await secondsPerImage(store);
    return {
      runId: manifest.runId,
      items,
      skipped,
      arms: recipe.arms.map((arm) => arm.name),
      images: { worstCase, recorded: counts.images },
      steps: { recorded: counts.steps },
      seconds: perImage === null ? null : Math.round(perImage * (worstCase - counts.images)),
      usd: recipe.arms.some(({ feedback }) => feedback && 'price' in feedback) ? null : 0,
      trainedOn: counts.trainedOn,
      detectableGain: { n: items - counts.trainedOn, standardDeviations: detectableGain(items - counts.trainedOn) },
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Mean device seconds of an image, by the ledgers of the last runs on the store. */
async function secondsPerImage(store: Store): Promise<number | null> {
  const taken: number[] = [];
  for (const run of (await store.listRuns()).slice(-3)) {
    const rows = await store.readLedger(run, { closed: true });
    taken.push(
      ...rows.flatMap((row) => (row.step === 'generate' && row.status === 'completed' && row.seconds !== null ? [row.seconds] : [])),
    );
  }
  return taken.length === 0 ? null : taken.reduce((a, b) => a + b, 0) / taken.length;
}
