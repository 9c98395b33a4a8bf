import type { Command } from 'commander';
import { prepareRun } from '../../client/prepare-run.js';
import { loadRecipe } from '../../recipe/index.js';
import { storeUri } from '../../../engine/storage/index.js';
import { integer, shown, withCommonOptions, type CommonOptions } from '../context.js';
import { executeRun, type ExecuteOptions, type Executed } from '../execute-run.js';
import { exitCodeOfRun, EXIT } from '../exit-codes.js';
import { print, printJson } from '../output.js';
import { resultsDigest } from '../../report/index.js';
import { reportSummary } from '../save-report.js';

export interface RunOptions extends ExecuteOptions {
  run?: string;
  set: string[];
}

const collect = (value: string, before: string[]): string[] => [...before, value];
const port = integer(1, 65_535);
export const itemsInFlight = integer(1, 10_000);

export function withServerOptions(command: Command): Command {
  return command
    .option('--port <n>', 'port of the embedded Temporal server (default: 7233, or any that is free)', port)
    .option('--ui-port <n>', 'port of its UI (default: 8233, or any that is free)', port)
    .option('--web-port <n>', 'port of the page with reports and pictures (default: 8234, or any that is free)', port)
    .option('--devices <n>', 'inference hosts on the CPU, each with its share of the cores (default: 2)', integer(1, 64));
}

/** Of commands that start a run's workflow. */
export function withStartOptions(command: Command): Command {
  const started = command
    .option('--concurrency <n>', 'items in flight (default: 8)', itemsInFlight)
    .option('--priority <n>', '1 (first) to 5: steps of a more urgent run go before those of others (default: 3)', integer(1, 5))
    .option('--worker-wait <s>', 'seconds that a step waits for one worker before any other may have it (default: 60)', integer(1, 86_400))
    .option('--detach', 'start it and return; needs a server that stays');
  return withServerOptions(withCommonOptions(started));
}

export function runCommand(program: Command): void {
  const command = program
    .command('run')
    .description('start a run of a recipe over its dataset, or find it again')
    .argument('<recipe>', 'YAML file')
    .option('--run <id>', 'id of the run (default: the recipe’s name and digest)')
    .option('--set <key=value>', 'set a field of the recipe, such as generator.num_inference_steps=10; may be repeated', collect, []);
  withStartOptions(command).action(async (recipe: string, options: RunOptions) => {
    const executed = await executeRun(await prepare(recipe, options), options);
    await executed.embedded?.stop();
    finish(executed, options);
  });
}

export async function prepare(recipe: string, options: RunOptions) {
  const loaded = await loadRecipe(recipe, options.set);
  const store = options.store === undefined ? loaded.storeUri : storeUri(options.store, process.cwd());
  return prepareRun({ ...loaded, storeUri: store }, options.run);
}

/** Prints what came out and sets the exit code. */
export function finish(
  { status, report, store, ui }: Executed,
  { json, detach }: CommonOptions & { detach?: boolean },
  more: Record<string, unknown> = {},
): void {
  process.exitCode = detach ? EXIT.done : exitCodeOfRun(status);
  const digest = report && resultsDigest(report.results);
  if (json) {
    printJson({ ...status, report: report?.html ?? null, resultsDigest: digest, store, ui, ...more });
    return;
  }
  if (report) print(`\n${reportSummary(report.results)}\n`);
  print(`run          ${status.runId}: ${status.state}, ${status.items.done} of ${status.items.total} items done`);
  print(`steps        ${status.steps.executed} executed, ${status.steps.cached} recorded, ${status.steps.retried} retried`);
  if (report) print(`report       ${shown(report.html)}`);
  if (digest) print(`results      ${digest}`);
  if (ui) print(`Temporal UI  ${ui}`);
  print(`artifacts    ${store}`);
  if (status.items.failed > 0)
    print(
      `\n${status.items.failed} items failed: see \`refineloop items ${status.runId} --status failed\`, then \`refineloop retry ${status.runId}\`.`,
    );
}
