import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import pLimit from 'p-limit';
import { InvalidInput } from '../../../core/errors.js';
import { openStore, type Store } from '../../../engine/storage/index.js';
import { findServer } from '../../client/connect.js';
import type { PreparedRun } from '../../client/prepare-run.js';
import { embeddedFolder } from '../../client/server-file.js';
import { resultsDigest } from '../../report/index.js';
import { CRASHES, disturb, undisturbedDemo, type Crash } from '../chaos.js';
import { integer, withCommonOptions } from '../context.js';
import { executeRun, type Executed, type ExecuteOptions } from '../execute-run.js';
import { EXIT } from '../exit-codes.js';
import { onInterrupt } from '../interrupt.js';
import { note } from '../output.js';
import { finish, prepare, withServerOptions, type RunOptions } from './run.js';

interface DemoOptions extends RunOptions {
  fresh?: boolean;
  keep?: boolean;
  chaos?: boolean;
  seed?: number;
}

export function demoCommand(program: Command): void {
  const command = program
    .command('demo')
    .description('the whole loop on the bundled models and drawings, with a report at the end')
    .option('--fresh', 'empty the demo’s store first')
    .option('--keep', 'leave server, workers and page up to look at, until Ctrl-C')
    .option('--chaos', 'kill a worker, an inference host and the server on the way; in a store of its own, which is emptied first')
    .option('--seed <n>', 'of --chaos: what is killed when (default: 1)', integer(0, 2 ** 32 - 1));
  withServerOptions(withCommonOptions(command)).action(async (options: DemoOptions) => {
    const plain = await prepare(demoRecipe(), { ...options, set: [], run: 'demo' });
    const storeUri = options.chaos ? besides(plain.storeUri) : plain.storeUri;
    if (options.chaos) await requireOwnServer(storeUri, options);
    else if (options.seed !== undefined) throw new InvalidInput('--seed is of --chaos');
    const { recipeDigest } = plain.manifest;
    const last = await demoRun(storeUri, recipeDigest);
    // Only what is carried out can be disturbed.
    const empties = options.fresh || (options.chaos && !last.goesOn);
    if (empties) await emptyStore(storeUri);
    const prepared = { ...plain, storeUri, manifest: { ...plain.manifest, runId: empties ? 'demo-1' : last.runId } };
    const executed = options.chaos ? await runInChaos(prepared, plain.storeUri, options) : await executeRun(prepared, options);
    if (!options.chaos) finish(executed, options);
    if (options.keep && executed.embedded) {
      note(`\nStill up: Temporal UI ${executed.embedded.ui}, reports and pictures ${executed.embedded.web}. Ctrl-C stops them.`);
      const interrupt = onInterrupt();
      await interrupt.signalled;
      interrupt.dispose();
    }
    await executed.embedded?.stop();
  });
}

/** Runs it while parts of it are killed, and compares what it came to with an undisturbed demo of the usual store. */
async function runInChaos(prepared: PreparedRun, plainStore: string, options: DemoOptions): Promise<Executed> {
  const { seed = 1 } = options;
  let crashes: Promise<Crash[]> = Promise.resolve([]);
  const during: ExecuteOptions['during'] = (embedded, name, say) => {
    crashes = disturb(embedded, name, seed, say);
    crashes.catch(() => undefined); // Thrown below, where the run itself does not fail.
  };
  const executed = await executeRun(prepared, { ...options, supervised: true, during });
  const own = executed.report && resultsDigest(executed.report.results);
  const other = await undisturbedDemo(plainStore, prepared.manifest);
  const same = other && other.resultsDigest === own;
  finish(executed, options, { chaos: { seed, crashes: await crashes, undisturbed: other, same } });
  if (same === false || (await crashes).length < CRASHES) process.exitCode = EXIT.unexpected;
  note(
    other
      ? `chaos: the results ${same ? 'equal' : 'DIFFER from'} those of ${other.runId} in ${plainStore}, which nobody disturbed`
      : `chaos: there is no undisturbed demo in ${plainStore} to compare the results with; a plain \`demo\` makes one`,
  );
  return executed;
}

/** What is killed must be this command's own. */
async function requireOwnServer(storeUri: string, options: DemoOptions): Promise<void> {
  const server = await findServer({ ...options, storeUri });
  if (!server) return;
  throw new InvalidInput(
    `--chaos kills a server and workers of its own, and ${server.connectionOptions.address} is another's: leave out --address and TEMPORAL_ADDRESS, and stop what is up on ${storeUri}`,
  );
}

/** The URI of a store beside another one; of one that is a whole bucket, within it. */
const besides = (storeUri: string): string =>
  /^s3:\/\/[^/?]+\/*(\?|$)/.test(storeUri) ? storeUri.replace(/\/*(\?|$)/, '/chaos$1') : storeUri.replace(/\/*(\?|$)/, '-chaos$1');

/** The demo's recipe: at the root of the package, whether this is source or compiled. */
function demoRecipe(): string {
  const places = ['../../../', '../../../../'].map((up) => fileURLToPath(new URL(`${up}examples/recipes/creatures.yaml`, import.meta.url)));
  return places.find((path) => existsSync(path)) ?? places[0]!;
}

/** Each demo is a run of its own, so that a later one shows recorded work; one that was interrupted goes on. */
async function demoRun(storeUri: string, recipeDigest: string): Promise<{ runId: string; goesOn: boolean }> {
  const store = await openStore(storeUri);
  const ids = (await store.listRuns()).filter((id) => /^demo-\d+$/.test(id));
  const last = Math.max(0, ...ids.map((id) => Number(id.slice('demo-'.length))));
  if (last === 0) return { runId: 'demo-1', goesOn: false };
  const files = store.run(`demo-${last}`);
  const open = ((await files.readState())?.finishedAt ?? null) === null;
  const goesOn = open && (await files.readManifest())?.recipeDigest === recipeDigest;
  return { runId: `demo-${goesOn ? last : last + 1}`, goesOn };
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
