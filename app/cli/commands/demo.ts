import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import pLimit from 'p-limit';
import { openStore, type Store } from '../../../engine/storage/index.js';
import { embeddedFolder } from '../../client/server-file.js';
import { withCommonOptions } from '../context.js';
import { executeRun } from '../execute-run.js';
import { onInterrupt } from '../interrupt.js';
import { note } from '../output.js';
import { finish, prepare, withServerOptions, type RunOptions } from './run.js';

interface DemoOptions extends RunOptions {
  fresh?: boolean;
  keep?: boolean;
}

export function demoCommand(program: Command): void {
  const command = program
    .command('demo')
    .description('the whole loop on the bundled models and drawings, with a report at the end')
    .option('--fresh', 'empty the demo’s store first')
    .option('--keep', 'leave server, workers and page up to look at, until Ctrl-C');
  withServerOptions(withCommonOptions(command)).action(async (options: DemoOptions) => {
    const recipe = demoRecipe();
    const first = await prepare(recipe, { ...options, set: [], run: 'demo' });
    if (options.fresh) await emptyStore(first.storeUri);
    const runId = await demoRunId(first.storeUri, first.manifest.recipeDigest);
    const executed = await executeRun({ ...first, manifest: { ...first.manifest, runId } }, options);
    finish(executed, options);
    if (options.keep && executed.embedded) {
      note(`\nStill up: Temporal UI ${executed.embedded.ui}, reports and pictures ${executed.embedded.web}. Ctrl-C stops them.`);
      const interrupt = onInterrupt();
      await interrupt.signalled;
      interrupt.dispose();
    }
    await executed.embedded?.stop();
  });
}

/** The demo's recipe: at the root of the package, whether this is source or compiled. */
function demoRecipe(): string {
  const places = ['../../../', '../../../../'].map((up) => fileURLToPath(new URL(`${up}examples/recipes/creatures.yaml`, import.meta.url)));
  return places.find((path) => existsSync(path)) ?? places[0]!;
}

/** Each demo is a run of its own, so that a later one shows recorded work; one that was interrupted goes on. */
async function demoRunId(storeUri: string, recipeDigest: string): Promise<string> {
  const store = await openStore(storeUri);
  const ids = (await store.listRuns()).filter((id) => /^demo-\d+$/.test(id));
  const last = Math.max(0, ...ids.map((id) => Number(id.slice('demo-'.length))));
  if (last === 0) return 'demo-1';
  const files = store.run(`demo-${last}`);
  const open = ((await files.readState())?.finishedAt ?? null) === null;
  return open && (await files.readManifest())?.recipeDigest === recipeDigest ? `demo-${last}` : `demo-${last + 1}`;
}

/** Objects that are deleted side by side. */
const DELETERS = 32;

async function deleteAll({ objects }: Store, prefix: string): Promise<void> {
  const limit = pLimit(DELETERS);
  const deleted: Array<Promise<void>> = [];
  for await (const key of objects.list(prefix)) deleted.push(limit(() => objects.delete(key)));
  await Promise.all(deleted);
}

/** Empties what a store is made of and nothing else that may lie in the folder. */
async function emptyStore(storeUri: string): Promise<void> {
  for (const part of ['blobs', 'steps', 'runs']) {
    if (storeUri.startsWith('file:')) await rm(join(fileURLToPath(storeUri), part), { recursive: true, force: true });
    else await deleteAll(await openStore(storeUri), `${part}/`);
  }
  await rm(embeddedFolder(storeUri), { recursive: true, force: true });
}
