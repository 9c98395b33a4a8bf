/** Two runs share the gpu queue: 60 items wait when 6 more come. Served in turn where the server is told to, and not where it is not. */
import { jest } from '@jest/globals';
import { join } from 'node:path';
import { FAIR_QUEUES, TASK_QUEUES } from '../../core/queues.js';
import { openStore, type LedgerLine } from '../../engine/storage/index.js';
import { parseLines } from '../../engine/storage/json-objects.js';
import { cliJson, scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { until } from '../support/processes.js';
import { CONTROL, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

const [MANY, FEW] = [60, 6];

interface Served {
  /** Pictures of the large run that were begun before the last first picture of the small one. */
  before: number;
  /** What `doctor` says of the server's queues. */
  doctor: string | undefined;
}

async function served(config: Record<string, boolean | number>): Promise<Served> {
  const cluster = await Cluster.start(config);
  try {
    await cluster.worker('orchestrator');
    const store = join(scratch(), 'store');
    const start = async (run: string, limit: number) => {
      const file = writeRecipe(scratch(), { limit, steps: 1, arms: [CONTROL], more: { seed: limit } });
      const common = ['--store', store, '--address', cluster.address];
      await cliJson(['run', file, '--run', run, '--detach', '--concurrency', String(limit), ...common]);
    };
    // An item asks for two things at once: its first picture, and what pictures are compared with.
    await start('many', MANY);
    await until('the large run waits for a device', async () => (await backlog(cluster)) >= 2 * MANY);
    await start('few', FEW);
    await until('the small run waits behind it', async () => (await backlog(cluster)) >= 2 * (MANY + FEW));
    await cluster.worker('gpu');
    const firsts = async (run: string) =>
      (await lines(store, run)).filter((line) => line.row === 'start' && line.step === 'generate' && line.round === 0);
    await until('each item of the small run has its first picture', async () => (await firsts('few')).length === FEW, 200_000);
    const last = (await firsts('few'))
      .map(({ at }) => at)
      .sort()
      .at(-1)!;
    const { findings } = await cliJson<{ findings: Array<{ check: string; found: string }> }>(['doctor', '--address', cluster.address]);
    const doctor = findings.find(({ check }) => check === 'fair queues')?.found;
    return { before: (await firsts('many')).filter(({ at }) => at < last).length, doctor };
  } finally {
    await cluster.stop();
  }
}

async function backlog({ client }: Cluster): Promise<number> {
  const taskQueue = { name: TASK_QUEUES.gpu };
  const found = await client.workflowService.describeTaskQueue({ namespace: 'default', taskQueue, taskQueueType: 2, reportStats: true });
  return Number(found.stats?.approximateBacklogCount ?? 0);
}

async function lines(store: string, run: string): Promise<LedgerLine[]> {
  const { objects } = await openStore(store);
  const found: LedgerLine[] = [];
  for await (const key of objects.list(`runs/${run}/ledger/`)) {
    found.push(...parseLines<LedgerLine>((await objects.get(key))!).values);
  }
  return found;
}

test('with fairness on, the small run is served one to one', async () => {
  const { before, doctor } = await served(FAIR_QUEUES);
  // 6 of its own pictures, one of the other between each two, and what the worker had taken on already.
  expect(before).toBeLessThanOrEqual(2 * FEW);
  expect(doctor).toBe('runs that share a queue are served in turn');
});

test('negative control: with fairness off, the small run waits for the large one', async () => {
  const { before, doctor } = await served({ ...FAIR_QUEUES, 'matching.enableFairness': false });
  expect(before).toBeGreaterThan(MANY / 2);
  expect(doctor).toBe('a run on a shared queue waits for all that came before it');
});
