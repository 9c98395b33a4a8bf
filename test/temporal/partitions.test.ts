/** A run of more items than a partition holds: how many partitions are open, and how they share the items in flight. No device serves it, so items stay. */
import { jest } from '@jest/globals';
import { mkdirSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareRun, startRun } from '../../app/client/index.js';
import { startWorkflow } from '../../app/client/start-run.js';
import { loadRecipe } from '../../app/recipe/index.js';
import { partitionWorkflowId } from '../../core/ids.js';
import { openStore } from '../../engine/storage/index.js';
import type { RefinePartitionInput } from '../../workflows/refine-partition.js';
import type { PartitionProgress, RunProgress } from '../../workflows/messages.js';
import { scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { until } from '../support/processes.js';
import { readItems } from '../support/runs.js';
import { CONTROL, CREATURES, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

/** Two partitions. */
const ITEMS = 5_002;
const RUN = 'halves';
const folder = scratch();
mkdirSync(join(folder, 'budget'));
let cluster: Cluster;
let storeUri: string;
/** An item of each partition. */
let keys: [string, string];

beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.worker('orchestrator');
  const data = join(folder, 'data');
  mkdirSync(data);
  copyFileSync(join(CREATURES, 'test/creature-0601.png'), join(data, 'a.png'));
  const rows = Array.from({ length: ITEMS }, (_, i) => JSON.stringify({ id: `item-${i}`, file_name: 'a.png', text: `creature ${i}` }));
  writeFileSync(join(data, 'metadata.jsonl'), rows.join('\n'));
  const recipe = writeRecipe(folder, { dataset: { uri: data }, arms: [CONTROL], more: { store: `file:${join(folder, 'store')}` } });
  const prepared = await prepareRun(await loadRecipe(recipe), RUN);
  ({ storeUri } = prepared);
  await startRun(cluster.client, prepared, { selection: { kind: 'items', keys: [] } }); // Indexes, and finds nothing to do.
  await cluster.client.workflow.getHandle(RUN).result();
  const files = (await openStore(storeUri)).run(RUN);
  const [[first], [second]] = await Promise.all([files.readIndexRange(0, 1), files.readIndexRange(ITEMS - 1, 1)]);
  keys = [first!.key, second!.key];
});
afterAll(() => cluster.stop());

const partition = (n: number) => cluster.client.workflow.getHandle(partitionWorkflowId(RUN, n));
const progress = () => cluster.client.workflow.getHandle(RUN).query<RunProgress>('progress');
const running = async (n: number) => (await partition(n).query<PartitionProgress>('partitionProgress')).running.length;
async function windowAtStart(n: number): Promise<number> {
  const { events } = await partition(n).fetchHistory();
  const { input } = events![0]!.workflowExecutionStartedEventAttributes!;
  return (JSON.parse(Buffer.from(input!.payloads![0]!.data!).toString()) as RefinePartitionInput).window;
}

/** Starts the run over an item of each partition, waits until both are in flight, looks, and cancels it. */
async function withBothInFlight(concurrency: number, look: () => Promise<void>): Promise<void> {
  await startWorkflow(cluster.client, RUN, storeUri, { concurrency, selection: { kind: 'items', keys } });
  await until('both partitions are open', async () => (await progress()).partitions.length === 2);
  await until('an item of each is in flight', async () => (await running(0)) + (await running(1)) === 2);
  await look();
  const root = cluster.client.workflow.getHandle(RUN);
  await root.cancel();
  await expect(root.result()).rejects.toThrow();
  const recorded = (await readItems(storeUri, RUN)).filter(({ key }) => keys.includes(key));
  expect(recorded.map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
  for (const n of [0, 1]) expect((await partition(n).describe()).status.name).toBe('CANCELLED');
}

test('a partition that has only items left that take long makes room for the next, less what these hold', () =>
  withBothInFlight(8, async () => {
    expect([await windowAtStart(0), await windowAtStart(1)]).toEqual([8, 7]);
    const window = async () => {
      const { events } = await partition(1).fetchHistory();
      return events!.flatMap(({ workflowExecutionSignaledEventAttributes: signal }) =>
        signal?.signalName === 'concurrency' ? [JSON.parse(Buffer.from(signal.input!.payloads![0]!.data!).toString()) as number] : [],
      );
    };
    await cluster.client.workflow.getHandle(RUN).signal('concurrency', 21);
    await until('the second has what the first one leaves', async () => (await window()).at(-1) === 20);
  }));

test('more items in flight than a partition may have open several at once, and no more than was asked for', () =>
  withBothInFlight(300, async () => expect([await windowAtStart(0), await windowAtStart(1)]).toEqual([200, 100])));

test('a partition whose budget is given away makes room for the next, too', async () => {
  // A share of one item each: while it is in flight, nothing is left for another.
  const budget = { images: 4 };
  const recipe = writeRecipe(join(folder, 'budget'), {
    dataset: { uri: join(folder, 'data') },
    arms: [CONTROL],
    more: { store: storeUri, budget },
  });
  const prepared = await prepareRun(await loadRecipe(recipe), 'thrifty');
  await startRun(cluster.client, prepared, { concurrency: 8 });
  const root = cluster.client.workflow.getHandle('thrifty');
  await until('both partitions are open', async () => (await root.query<RunProgress>('progress')).partitions.length === 2);
  await root.cancel();
  await expect(root.result()).rejects.toThrow();
});
