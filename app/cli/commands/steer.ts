import type { Command } from 'commander';
import type { Client } from '@temporalio/client';
import { cancelRun, itemsToRetry, pauseRun, resumeRun, retryRun, setConcurrency, type RunName } from '../../client/control.js';
import { getStatus, isOver } from '../../client/status.js';
import { InvalidInput } from '../../../core/errors.js';
import { cancelTraining, type TrainingName } from '../../client/train.js';
import { getTrainingStatus, isTrainingOver } from '../../client/training-status.js';
import { findTraining, mustConnect, openRun, withCommonOptions, type CommonOptions } from '../context.js';
import { follow, startOptions, withServer, type ExecuteOptions } from '../execute-run.js';
import { print, printJson } from '../output.js';
import { finish, itemsInFlight, withStartOptions } from './run.js';

/** Commands that change a run which is open. */
export function steerCommands(program: Command): void {
  steer(program, 'pause', 'start no further item; those in flight go on to their end', pauseRun, 'paused');
  steer(program, 'resume', 'go on after a pause', resumeRun, 'goes on');
  steer(program, 'cancel', 'end a run or a training: what is in flight stops, what is finished stays', cancelRun, 'is being cancelled');
  const scale = program
    .command('scale')
    .description('change how many items of an open run are in flight')
    .argument('<run>')
    .requiredOption('--concurrency <n>', 'items in flight from now on; those that run go on', itemsInFlight);
  withCommonOptions(scale).action((runId: string, options: CommonOptions & { concurrency: number }) =>
    changeOpenRun(
      runId,
      options,
      'scale',
      (client, run) => setConcurrency(client, run, options.concurrency),
      `has up to ${options.concurrency} items in flight, at most 200 a partition of 5,000`,
    ),
  );
  const collect = (value: string, before: string[]): string[] => [...before, value];
  const command = program
    .command('retry')
    .description('take failed and cancelled items up again; no finished step runs again')
    .argument('<run>')
    .option('--item <id>', 'this item, failed or not; may be repeated', collect, []);
  withStartOptions(command).action(retry);
}

function steer(
  program: Command,
  name: string,
  description: string,
  act: (client: Client, run: RunName) => Promise<void>,
  said: string,
): void {
  withCommonOptions(program.command(name).description(description).argument('<run>')).action((runId: string, options: CommonOptions) =>
    changeOpenRun(runId, options, name, act, said),
  );
}

async function changeOpenRun(
  runId: string,
  options: CommonOptions,
  name: string,
  act: (client: Client, run: RunName) => Promise<void>,
  said: string,
): Promise<void> {
  const training = name === 'cancel' ? await findTraining(runId, options) : null;
  if (training) return stopTraining(training, options);
  const { run } = await openRun(runId, options);
  const { state } = await getStatus(null, run);
  if (isOver(state)) throw new InvalidInput(`run ${runId} has ended (${state}); there is nothing to ${name}`);
  const open = await mustConnect(run.storeUri, options);
  try {
    await act(open.client, run);
    if (options.json) printJson(await getStatus(open.client, run));
    else print(`run ${runId} ${said}`);
  } finally {
    await open.close();
  }
}

async function stopTraining(training: TrainingName, options: CommonOptions): Promise<void> {
  const { state } = await getTrainingStatus(null, training);
  if (isTrainingOver(state)) throw new InvalidInput(`training ${training.trainingId} has ended (${state}); there is nothing to cancel`);
  const open = await mustConnect(training.storeUri, options);
  try {
    await cancelTraining(open.client, training);
    if (options.json) printJson(await getTrainingStatus(open.client, training));
    else print(`training ${training.trainingId} is being cancelled; \`train\` goes on from its last checkpoint`);
  } finally {
    await open.close();
  }
}

async function retry(runId: string, options: ExecuteOptions & { item: string[] }): Promise<void> {
  const { run } = await openRun(runId, options);
  if ((await itemsToRetry(run, options.item)).length === 0) {
    if (options.json) printJson(await getStatus(null, run));
    else print(`run ${runId} has no failed items; nothing to do`);
    return;
  }
  await withServer(run.storeUri, options, async (open, embedded) => {
    await retryRun(open.client, run, options.item, startOptions(options, open));
    if (options.detach) {
      const status = await getStatus(open.client, run);
      return finish({ status, report: null, store: run.storeUri, ui: open.settings.ui, embedded }, options);
    }
    const executed = await follow(open, run, embedded);
    await executed.embedded?.stop();
    finish(executed, options);
  });
}
