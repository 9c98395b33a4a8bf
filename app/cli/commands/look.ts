import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { failureName, InvalidInput, StorageUnavailable } from '../../../core/errors.js';
import { gainBy, itemPlan } from '../../../core/item-plan.js';
import { promptText, shownPrompt } from '../../../core/policy/refine.js';
import type { ItemRecord, ItemState, TextValue } from '../../../core/types.js';
import { verifyRun, type Store } from '../../../engine/storage/index.js';
import { findItem } from '../../client/find-item.js';
import { queuesWithoutWorker, workerAdvice } from '../../client/queues.js';
import { getStatus, isOver, StatusReader } from '../../client/status.js';
import { waitForTraining, type TrainingName } from '../../client/train.js';
import { getTrainingStatus, isTrainingOver } from '../../client/training-status.js';
import { failuresText } from '../../report/results.js';
import { findTraining, openRun, tryConnect, withCommonOptions, type CommonOptions } from '../context.js';
import { FoundWrong } from '../exit-codes.js';
import { onInterrupt } from '../interrupt.js';
import { note, print, printJson, signed, table } from '../output.js';
import { progressDisplay, statusLines } from '../progress.js';
import { showTraining, trainingLines } from '../training-display.js';

/** Commands that only read. They read the store when no server answers. */
export function lookCommands(program: Command): void {
  withCommonOptions(
    program
      .command('status')
      .description('progress and time left of a run or a training')
      .argument('<run>')
      .option('--watch', 'go on until it ends'),
  ).action(status);
  withCommonOptions(
    program
      .command('items')
      .description('the items of a run and how each stands')
      .argument('<run>')
      .option('--status <state>', 'only these, such as failed'),
  ).action(items);
  withCommonOptions(
    program
      .command('show')
      .description('one item: its rounds, scores and where each picture came from')
      .argument('<run>')
      .argument('<item>'),
  ).action(show);
  withCommonOptions(
    program.command('ledger').description('every attempt of every step, failed and lost ones too').argument('<run>'),
  ).action(ledger);
  withCommonOptions(
    program.command('verify').description('re-read every artifact of a run and check digests and lineage').argument('<run>'),
  ).action(verify);
}

async function status(runId: string, options: CommonOptions & { watch?: boolean }): Promise<void> {
  const training = await findTraining(runId, options);
  if (training) return trainingStatus(training, options);
  const { run } = await openRun(runId, options);
  const open = await tryConnect(run.storeUri, options);
  const interrupt = onInterrupt();
  try {
    const reader = await StatusReader.open(open?.client ?? null, run);
    let now = await reader.read();
    if (options.watch && !isOver(now.state)) {
      const display = progressDisplay(reader, { ui: open?.settings.ui ?? null });
      let stop = false;
      void interrupt.signalled.then(() => (stop = true));
      while (!isOver(now.state) && !stop) {
        display.update(now);
        await Promise.race([sleep(display.everyMs), interrupt.signalled]);
        now = await reader.read().catch((error: unknown) => {
          // The run waits for its store to come back, and so does who watches it.
          if (!(error instanceof StorageUnavailable)) throw error;
          display.trouble(error.message);
          return now;
        });
      }
      display.end();
    }
    if (options.json) printJson(now);
    else statusLines(now, 0).forEach((line) => print(line.replace(/ \(0\.0\/s\)/, '')));
    const advice = open && !isOver(now.state) ? workerAdvice(await queuesWithoutWorker(open.client)) : null;
    if (advice) note(advice);
    if (!options.json && now.source === 'store' && !isOver(now.state)) print('read from the store: no server answers, so nothing runs now');
  } finally {
    interrupt.dispose();
    await open?.close();
  }
}

async function trainingStatus(name: TrainingName, options: CommonOptions & { watch?: boolean }): Promise<void> {
  const open = await tryConnect(name.storeUri, options);
  const client = open?.client ?? null;
  try {
    if (options.watch && client && !isTrainingOver((await getTrainingStatus(client, name)).state)) {
      const interrupt = onInterrupt();
      const ends = [waitForTraining(client, name.trainingId), interrupt.signalled];
      await showTraining(client, name, { ui: open?.settings.ui ?? null, embedded: false }, ends).finally(interrupt.dispose);
    }
    const now = await getTrainingStatus(client, name);
    if (options.json) printJson(now);
    else trainingLines(now).forEach((line) => print(line));
    if (!options.json && !client && !isTrainingOver(now.state)) print('read from the store: no server answers, so nothing runs now');
  } finally {
    await open?.close();
  }
}

const ITEM_STATES: string[] = ['improved', 'unchanged', 'uncurable', 'failed', 'skipped', 'cancelled'] satisfies ItemState[];

async function items(runId: string, options: CommonOptions & { status?: string }): Promise<void> {
  if (options.status !== undefined && !ITEM_STATES.includes(options.status)) {
    throw new InvalidInput(`--status ${options.status}: the states of an item are ${ITEM_STATES.join(', ')}`);
  }
  const { store } = await openRun(runId, options);
  const files = store.run(runId);
  const { primary } = itemPlan((await files.readManifest())!.recipe);
  const records = (await files.listItems()).filter((record) => options.status === undefined || record.state === options.status);
  const rows = records.map((record) => ({
    id: record.id,
    state: record.state,
    gains: Object.fromEntries(record.arms.map((arm) => [arm.name, gainOf(arm.rounds, primary)])),
    ...(record.failure ? { failure: record.failure } : {}),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
  }));
  if (options.json) return printJson(rows);
  if (rows.length === 0) return print(options.status === undefined ? 'no item has a record yet' : `no item is ${options.status}`);
  const text = (row: (typeof rows)[number]) =>
    row.reason ??
    (row.failure
      ? `${row.failure.step}, attempt ${row.failure.attempt}: ${failureName(row.failure)}: ${row.failure.message}`
      : gainText(row.gains));
  print(
    table(
      ['item', 'state', `gain by ${primary}, or what is wrong`],
      rows.map((row) => [row.id, row.state, text(row)]),
    ),
  );
  const failed = failuresText(rows);
  if (failed !== null) print(failed);
}

async function show(runId: string, item: string, options: CommonOptions): Promise<void> {
  const { store } = await openRun(runId, options);
  const record = await findItem(store, runId, item);
  const { glossary } = (await store.run(runId).readManifest())!.recipe;
  const arms = await Promise.all(
    record.arms.map(async (arm) => ({ ...arm, rounds: await Promise.all(arm.rounds.map((round) => withTexts(store, round, glossary))) })),
  );
  if (options.json) return printJson({ ...record, arms });
  print(`${record.id}: ${record.state}${record.reason === undefined ? '' : ` (${record.reason})`}`);
  if (record.failure)
    print(
      `failed in ${record.failure.step} (arm ${record.failure.arm ?? 'all'}, round ${record.failure.round}, attempt ${record.failure.attempt}): ${failureName(record.failure)}: ${record.failure.message}`,
    );
  for (const arm of arms) {
    print(`\n${arm.name}${arm.oracle ? ' (oracle)' : ''}: ${arm.state}, best round ${arm.best.round}, ended by ${arm.stopped.reason}`);
    const cut = (round: (typeof arm.rounds)[number]) => (round.tokens.cut > 0 ? `, ${round.tokens.cut} tokens cut` : '');
    for (const round of arm.rounds) {
      print(`  round ${round.round}  seed ${round.seed}  ${round.tokens.used} tokens${cut(round)}`);
      print(`    prompt  ${round.prompt}`);
      print(
        `    image   ${round.image.digest}${round.image.derivedFrom.length > 0 ? ` from ${round.image.derivedFrom.map((d) => d.slice(0, 19)).join(', ')}` : ''}`,
      );
      print(
        `    scores  ${Object.entries(round.scores)
          .map(([name, value]) => `${name} ${value.toFixed(4)}`)
          .join('  ')}`,
      );
      print(
        `    steps   ${Object.entries(round.steps)
          .map(([name, key]) => `${name} ${key.slice(0, 12)}`)
          .join('  ')}`,
      );
    }
  }
}

async function withTexts<T extends ItemRecord['arms'][number]['rounds'][number]>(store: Store, round: T, glossary: Record<string, string>) {
  const text = async (value: TextValue) => value.text ?? Buffer.from(await store.getArtifact(value.ref!)).toString('utf8');
  const prompt = shownPrompt(promptText(round.prompt, await Promise.all(round.prompt.parts.map(text)), glossary));
  return { ...round, prompt, feedback: round.feedback ? await text(round.feedback) : null };
}

async function ledger(runId: string, options: CommonOptions): Promise<void> {
  const { run, store } = await openRun(runId, options);
  const open = await tryConnect(run.storeUri, options);
  const { state } = await getStatus(open?.client ?? null, run).finally(() => open?.close());
  const rows = await store.readLedger(runId, { closed: isOver(state) });
  if (options.json) return printJson(rows);
  const cells = rows.map((r) => [
    r.step,
    r.item,
    r.arm ?? '-',
    r.round,
    r.draw,
    r.attempt,
    r.status,
    r.device ?? '-',
    r.seconds?.toFixed(2) ?? '-',
    r.usd ?? '-',
    r.error?.split('\n')[0] ?? '',
  ]);
  print(table(['step', 'item', 'arm', 'round', 'draw', 'attempt', 'status', 'device', 'seconds', 'usd', 'error'], cells));
}

async function verify(runId: string, options: CommonOptions): Promise<void> {
  const { store } = await openRun(runId, options);
  const found = await verifyRun(store, runId);
  if (options.json) printJson(found);
  else {
    print(`${found.checked} artifacts read, ${found.corrupt.length} corrupt, ${found.missing.length} missing`);
    found.corrupt.forEach((digest) => print(`corrupt  ${digest}`));
    found.missing.forEach((digest) => print(`missing  ${digest}`));
    found.spoiltRecords.forEach((key) => print(`record   ${key}`));
  }
  const wrong = found.corrupt.length + found.missing.length + found.spoiltRecords.length;
  if (wrong > 0)
    throw new FoundWrong(`${wrong} things are wrong in run ${runId}; a new run of the recipe (another --run) makes what is missing again`);
}

/** `null` where the arm drew nothing after round 0, which is no tie. */
function gainOf(rounds: ItemRecord['arms'][number]['rounds'], metric: string): number | null {
  if (rounds.length < 2) return null;
  const [first, last] = [rounds[0]?.scores[metric], rounds.at(-1)?.scores[metric]];
  return first === undefined || last === undefined ? null : gainBy(metric, last, first);
}

function gainText(gains: Record<string, number | null>): string {
  return Object.entries(gains)
    .map(([arm, gain]) => `${arm} ${gain === null ? '-' : signed(gain)}`)
    .join('  ');
}
