/** Pausing, cancelling, terminating, retrying and budgets, with workers that come and go so that nothing hangs on timing. */
import { jest } from '@jest/globals';
import { itemKey, itemWorkflowId, partitionWorkflowId } from '../../core/ids.js';
import { cli, type RunningCli } from '../support/cli.js';
import { ClusterRun } from '../support/cluster-run.js';
import { Cluster } from '../support/cluster.js';
import { payloadsOf, workflowIds } from '../support/histories.js';
import { until } from '../support/processes.js';
import { completed, executedTwice, readItems } from '../support/runs.js';
import { CONTROL, WRITTEN, type SmallRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

const LIMIT = 64 * 1024;
let cluster: Cluster;
/** Scores images: as long as it is away, items wait at their first score. */
let scorer: RunningCli;

beforeAll(async () => {
  cluster = await Cluster.start();
  await Promise.all([cluster.worker('orchestrator'), cluster.worker('gpu')]);
});
afterAll(() => cluster.stop());

const startScoring = async (): Promise<void> => {
  scorer = await cluster.worker('cpu');
};
const stopScoring = async (): Promise<void> => {
  scorer.signal('SIGTERM');
  await scorer.ended;
};

class Run extends ClusterRun {
  constructor(id: string, recipe: SmallRecipe) {
    super(() => cluster, id, recipe);
  }

  progress = () =>
    cluster.client.workflow
      .getHandle(partitionWorkflowId(this.id, 0))
      .query<{ running: string[]; paused: boolean }>('partitionProgress')
      .catch(() => ({ running: [] as string[], paused: false }));
}

describe('an item whose workflow is terminated', () => {
  const run = new Run('terminated', { arms: [CONTROL, WRITTEN] });
  const victim = itemWorkflowId(run.id, itemKey('creature-0602'));
  let before: Awaited<ReturnType<typeof run.ledger>>;

  test('is recorded as failed, the others are done, exit code 3', async () => {
    await run.start();
    await run.pictures(3);
    await cluster.client.workflow.getHandle(victim).terminate('by a test');
    await startScoring();
    const ended = await run.follow(3);
    expect(ended).toMatchObject({ state: 'completed_with_failures', items: { total: 3, done: 2, failed: 1, running: 0, pending: 0 } });
    const failed = (await readItems(run.store, run.id)).filter((item) => item.state === 'failed');
    expect(failed).toMatchObject([
      { id: 'creature-0602', failure: { type: 'WorkflowEnded', message: expect.stringContaining('TERMINATED') } },
    ]);
    before = await run.ledger();
  });

  test('is completed by retry, which executes no finished step again', async () => {
    expect(await run.command('retry')).toMatchObject({ state: 'completed', items: { total: 3, done: 3, failed: 0 } });
    const after = await run.ledger();
    expect(executedTwice(after)).toEqual([]);
    const fresh = completed(after).slice(completed(before).length);
    expect(fresh.length).toBeGreaterThan(0);
    expect(new Set(fresh.map((row) => row.item))).toEqual(new Set(['creature-0602']));
    await stopScoring();
  });

  test('is found in the Temporal UI: by attributes, with summaries and details', async () => {
    const { client } = cluster;
    const found = async (query: string): Promise<string[]> => {
      const ids: string[] = [];
      for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
      return ids;
    };
    const ours = `RefineRun = "${run.id}"`;
    await until('the item is found', async () =>
      (await found(`${ours} AND RefineItem = "creature-0602" AND ExecutionStatus = "Completed"`)).includes(victim),
    );
    await until('the terminated one is found, too', async () =>
      (await found(`${ours} AND ExecutionStatus = "Terminated"`)).includes(victim),
    );
    await until('roots are found by state', async () => (await found(`${ours} AND RefineStatus = "completed"`)).includes(run.id));
    await until(
      'items are found by gain',
      async () => (await found(`${ours} AND RefineGain > -2 AND RefineRound = 1 AND RefineScore > -2`)).length >= 3,
    );

    const item = await client.workflow.getHandle(victim).describe();
    expect(await item.staticSummary()).toMatch(/^A purple animal\.$/);
    const root = await client.workflow.getHandle(run.id).describe();
    expect(await root.staticSummary()).toContain(run.id);
    const metadata = await client.workflow.getHandle(victim).query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toMatch(/\| all \| 0 \| .* image_similarity -?\d/);
    expect(metadata.currentDetails).toMatch(/\| written \| 1 \| /);
    const { events } = await client.workflow.getHandle(victim).fetchHistory();
    const summaries = (events ?? []).flatMap((event) =>
      event.userMetadata?.summary?.data ? [Buffer.from(event.userMetadata.summary.data).toString()] : [],
    );
    expect(summaries).toEqual(
      expect.arrayContaining([expect.stringContaining('generate image written round 1'), expect.stringContaining('score control round 1')]),
    );
  });

  test('like the rest of the run has no payload of 64 KiB', async () => {
    const payloads = (await Promise.all((await workflowIds(run.store, run.id)).map((id) => payloadsOf(cluster.client, id)))).flat();
    expect(payloads.length).toBeGreaterThan(100);
    expect(payloads.filter((payload) => payload.bytes >= LIMIT)).toEqual([]);
  });
});

describe('a run that is paused, resumed, cancelled and taken up again', () => {
  const run = new Run('steered', { arms: [CONTROL] });

  test('paused: the item in flight goes on to its end, no other begins', async () => {
    await run.start('--concurrency', '1');
    await run.pictures(1);
    expect(await run.command('pause')).toMatchObject({ runId: run.id });
    await until('the partition is paused', async () => (await run.progress()).paused);
    await startScoring();
    await until('the item in flight is through', async () => (await run.progress()).running.length === 0);
    await stopScoring();
    expect(await run.command('status')).toMatchObject({
      state: 'paused',
      items: { total: 3, done: 1, running: 0, pending: 2 },
      etaSeconds: null,
    });
  });

  test('resumed: the next begins', async () => {
    await run.command('resume');
    await until('the next item runs', async () => (await run.progress()).running.length === 1);
    expect(await run.command('status')).toMatchObject({ state: 'running', items: { done: 1, running: 1, pending: 1 } });
  });

  test('cancelled: everything ends, what is done stays, no item is half recorded', async () => {
    await run.pictures(3); // Two of the first item, one of the second, which hangs at its score.
    await run.command('cancel');
    await until('the run is cancelled', async () => (await run.command('status')).state === 'cancelled');
    expect(await run.command('status')).toMatchObject({ items: { total: 3, done: 1, cancelled: 2, running: 0, pending: 0, failed: 0 } });
    const records = await readItems(run.store, run.id);
    expect(records.map((record) => [record.state === 'cancelled', record.arms.length])).toEqual(
      expect.arrayContaining([
        [true, 0],
        [false, 1],
      ]),
    );
    for (const id of await workflowIds(run.store, run.id)) {
      const { status } = await cluster.client.workflow.getHandle(id).describe();
      expect(status.name).not.toBe('RUNNING');
    }
    const { code, stderr } = await cli(['pause', run.id, '--store', run.store, '--address', cluster.address]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('has ended (cancelled)') });
  });

  test('taken up again by the same command, which executes no finished step again', async () => {
    await startScoring();
    expect(await run.follow(0)).toMatchObject({ state: 'completed', items: { total: 3, done: 3, cancelled: 0 } });
    expect(executedTwice(await run.ledger())).toEqual([]);
    await stopScoring();
  });
});

test('a budget of images is never overshot, leaves no item half done, and ends with exit code 0', async () => {
  // An item takes two images at most: three items fit into seven.
  const run = new Run('budget', { limit: 5, arms: [CONTROL], more: { budget: { images: 7 } } });
  await startScoring();
  await run.start('--concurrency', '4');
  const ended = await run.follow(0);
  expect(ended).toMatchObject({ state: 'budget_reached', items: { total: 5, done: 3, pending: 2, failed: 0 } });
  expect((await run.ledger()).filter((row) => row.step === 'generate')).toHaveLength(6);
  const records = await readItems(run.store, run.id);
  expect(records.map((record) => record.arms.map((arm) => arm.rounds.length))).toEqual([[2], [2], [2]]);
  expect(await run.follow(0)).toMatchObject({ state: 'budget_reached', steps: ended.steps });
});

test('a budget holds over what was cancelled and over what is asked for while the run goes on', async () => {
  await stopScoring().catch(() => undefined);
  const run = new Run('budget-again', { limit: 6, arms: [CONTROL], more: { budget: { images: 7 } } });
  await run.start('--concurrency', '2');
  await run.pictures(2); // Recorded, of items that are cancelled.
  await run.command('cancel');
  await until('the run is cancelled', async () => (await run.command('status')).state === 'cancelled');
  await run.start('--concurrency', '2');
  const root = cluster.client.workflow.getHandle(run.id);
  await expect(root.executeUpdate('retry', { args: [null] })).rejects.toThrow();
  await root.executeUpdate('retry', { args: [{ kind: 'failed' }] });
  await startScoring();
  expect(await run.follow(0)).toMatchObject({ state: 'budget_reached', items: { total: 6, failed: 0, running: 0 } });
  const made = (await run.ledger()).filter((row) => row.step === 'generate' && row.status !== 'recorded');
  expect(made.length).toBeGreaterThan(2);
  expect(made.length).toBeLessThanOrEqual(7);
  await stopScoring();
});

test('the number of items in flight is changed while the run goes on', async () => {
  await stopScoring().catch(() => undefined);
  const run = new Run('scaled', { limit: 6, arms: [CONTROL] });
  await run.start('--concurrency', '1');
  await run.pictures(1);
  expect((await run.progress()).running).toHaveLength(1);
  await run.command('scale', '--concurrency', '4');
  await until('four are in flight', async () => (await run.progress()).running.length === 4);
  await run.pictures(4); // Nobody scores, so none has ended and no fifth has begun.
  await run.command('scale', '--concurrency', '2');
  await startScoring();
  expect(await run.follow(0)).toMatchObject({ items: { total: 6, done: 6 } });
});
