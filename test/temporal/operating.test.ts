/** docs/operating.md, line by line: a run under Temporal's own command line stays whole, and says what was done to it. */
import { jest } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { itemKey, itemWorkflowId } from '../../core/ids.js';
import { findTemporalCli } from '#temporal-cli';
import { cli, cliJson, ROOT, startNode, type RunningCli } from '../support/cli.js';
import { ClusterRun } from '../support/cluster-run.js';
import { Cluster } from '../support/cluster.js';
import { until } from '../support/processes.js';
import { executedTwice, readItems } from '../support/runs.js';
import { CONTROL, WRITTEN } from '../support/small-recipe.js';

jest.setTimeout(240_000);

/** Every command of the page. */
const PAGE = readFileSync(join(ROOT, 'docs/operating.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('temporal '));
const used = new Set<string>();
const ITEMS = ['creature-0601', 'creature-0602', 'creature-0603', 'creature-0604'];

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.worker('orchestrator');
});
afterAll(() => cluster.stop());

/** A run with a store of its own, operated with the commands of the page. */
class Run extends ClusterRun {
  constructor(id: string) {
    super(() => cluster, id, { limit: ITEMS.length, arms: [CONTROL, WRITTEN] });
  }

  items = () => readItems(this.store, this.id);
  workflow = (item: string) => itemWorkflowId(this.id, itemKey(item));

  /** Runs a command of the page; fails where the page has none like it. */
  async temporal(line: string, item = '', ...further: string[]): Promise<string> {
    if (!PAGE.includes(line)) throw new Error(`docs/operating.md has no line ${line}`);
    used.add(line);
    const values: Record<string, string> = { RUN: this.id, ITEM: item, WORKFLOW: this.workflow(item), ACTIVITY: further[0] ?? '' };
    const filled = line.replace(/\b(RUN|ITEM|WORKFLOW|ACTIVITY)\b/g, (name) => values[name]!);
    const words = [...filled.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
    const args = [...words.slice(1), '--address', cluster.address, '--command-timeout', '30s'];
    const { stdout } = await promisify(execFile)(findTemporalCli()!.path, args).catch((error: Error & { stdout: string }) => {
      if (error.stdout !== '') return error; // A failed workflow's result: exit code 1.
      throw error;
    });
    return stdout;
  }

  /** Waits until a list, which lags a little, shows exactly these items. */
  async lists(line: string, items: string[], item = ''): Promise<void> {
    const ids = items.map(this.workflow);
    await until(`${line} shows ${items.join(', ')}`, async () => {
      const shown = new Set((await this.temporal(line, item)).match(/\S+\/item\/[0-9a-f]{16}/g) ?? []);
      return shown.size === ids.length && ids.every((id) => shown.has(id));
    });
  }

  state = (item: string, state: string) =>
    until(`${item} is ${state}`, async () => (await this.items()).some((r) => r.id === item && r.state === state), 150_000);
}

const QUEUE = 'temporal task-queue describe --task-queue gpu';
const DESCRIBE = 'temporal workflow describe --workflow-id WORKFLOW';
const RUNNING = `temporal workflow list --query 'RefineRun = "RUN" AND RefineItem IS NOT NULL AND ExecutionStatus = "Running"'`;
const FAILED = `temporal workflow list --query 'RefineRun = "RUN" AND RefineItem IS NOT NULL AND RefineStatus = "failed"'`;
const TERMINATED = `temporal workflow list --query 'RefineRun = "RUN" AND RefineItem IS NOT NULL AND ExecutionStatus = "Terminated"'`;
const RESULT = 'temporal workflow result --workflow-id WORKFLOW';
const RESET = `temporal workflow reset --workflow-id WORKFLOW --type FirstWorkflowTask --reason 'its cause is mended'`;

describe('a run whose queue nobody serves', () => {
  const run = new Run('operated');
  const [first, second, third, fourth] = ITEMS as [string, string, string, string];
  const trueImage = async (item: string) => {
    const files = readFileSync(join(run.store, 'runs', run.id, 'index/items-00000.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const entry = files.map((line) => JSON.parse(line) as { id: string; trueImage: { digest: string } }).find(({ id }) => id === item)!;
    const hex = entry.trueImage.digest.slice('sha256:'.length);
    return join(run.store, 'blobs/sha256', hex.slice(0, 2), hex);
  };
  const waitsOnSpare = async (item: string) => {
    const { raw } = await cluster.client.workflow.getHandle(run.workflow(item)).describe();
    return raw.pendingActivities!.some(({ activityOptions }) => activityOptions?.taskQueue?.name === 'gpu-spare');
  };
  let scorer: RunningCli;

  test('says where it hangs', async () => {
    await run.start('--concurrency', '4');
    await run.lists(RUNNING, ITEMS);
    await run.lists(`temporal workflow list --query 'RefineRun = "RUN" AND RefineItem = "ITEM"'`, [first], first);
    await until('a step waits', async () => (await run.temporal(DESCRIBE, first)).includes('generateImage'));
    expect(await run.temporal(QUEUE)).not.toMatch(/\bactivity\s+\d+@/); // No pollers.
  });

  test('goes on, one step or all, on another queue that somebody serves', async () => {
    const spare = startNode([join(ROOT, 'test/support/plugin-worker.mjs'), cluster.address, 'gpu', 'gpu-spare']);
    await spare.saw('worker on gpu-spare');
    const { raw } = await cluster.client.workflow.getHandle(run.workflow(first)).describe();
    const [waiting] = raw.pendingActivities!.filter(({ activityType }) => activityType!.name === 'generateImage');
    const one = 'temporal activity update-options --workflow-id WORKFLOW --activity-id ACTIVITY --task-queue gpu-spare';
    await run.temporal(one, first, waiting!.activityId!);
    await run.pictures(1);
    await run.temporal(
      `temporal activity update-options --query 'RefineRun = "RUN" AND RefineItem IS NOT NULL AND ExecutionStatus = "Running"' --task-queue gpu-spare --yes`,
    );
    await run.pictures(4);
    // What it has begun and not ended when it goes would wait on its queue for another.
    await until('nothing waits for the spare queue', async () => (await Promise.all(ITEMS.map(waitsOnSpare))).every((waits) => !waits));
    spare.signal('SIGTERM');
    await spare.ended;
  });

  test('is steered by signals', async () => {
    await run.temporal('temporal workflow signal --workflow-id RUN --name pause');
    await until('it is paused', async () => (await run.command('status')).state === 'paused');
    expect(await run.temporal('temporal workflow query --workflow-id RUN/p0 --type partitionProgress')).toContain(first);
    await run.temporal('temporal workflow signal --workflow-id RUN --name concurrency --input 40');
    await run.temporal('temporal workflow signal --workflow-id RUN --name resume');
    await until('it goes on', async () =>
      /"?state"?:? *"running"/.test(await run.temporal('temporal workflow query --workflow-id RUN --type progress')),
    );
  });

  test('records an item that is terminated, one that is cancelled, one that fails, and follows one that is reset', async () => {
    renameSync(await trueImage(third), `${await trueImage(third)}.away`);
    await cluster.worker('gpu');
    await until('the last item waits for its score', async () => (await run.temporal(DESCRIBE, fourth)).includes('scoreImage'));
    await Promise.all([run.temporal(RESET, first), run.temporal(RESET, fourth)]);
    await run.temporal(`temporal workflow terminate --workflow-id WORKFLOW --reason 'hangs'`, first);
    await run.temporal('temporal workflow cancel --workflow-id WORKFLOW', second);
    await Promise.all([run.state(first, 'failed'), run.state(second, 'cancelled')]);
    scorer = await cluster.worker('cpu');
    expect(await run.follow(3)).toMatchObject({
      state: 'completed_with_failures',
      items: { total: 4, done: 1, failed: 2, cancelled: 1, running: 0, pending: 0 },
    });
    expect(executedTwice(await run.ledger())).toEqual([]);
  });

  test('says what failed and why', async () => {
    await run.lists(FAILED, [third]);
    expect(await run.temporal(RESULT, third)).toMatch(/artifact sha256:[0-9a-f]{64} is not in/);
    await run.lists(TERMINATED, [first, fourth]); // Of the one that was reset the execution before.
    expect(await run.temporal('temporal workflow show --workflow-id WORKFLOW', first)).toMatch(/hangs|Terminated/);
    expect(await run.temporal('temporal workflow metadata --workflow-id WORKFLOW', fourth)).toMatch(/\| written \| 1 \| /);
  });

  test('takes an item up again by a reset once its cause is mended, and the rest by retry', async () => {
    renameSync(`${await trueImage(third)}.away`, await trueImage(third));
    await run.temporal(RESET, third);
    await until('the reset item is done', async () => !(await run.items()).some(({ id, state }) => id === third && state === 'failed'));
    expect(await run.command('status')).toMatchObject({ state: 'completed_with_failures', items: { done: 2, failed: 1, cancelled: 1 } });
    await run.temporal(RESET, first);
    await until('it is done as well', async () => (await run.command('status')).items.failed === 0);
    expect(await run.command('status')).toMatchObject({ state: 'completed', items: { done: 3, cancelled: 1 } });
    expect(await run.command('retry')).toMatchObject({ state: 'completed', items: { total: 4, done: 4 } });
    expect(executedTwice(await run.ledger())).toEqual([]);
  });

  test('lists the best and the worst gains', async () => {
    const gains = (await run.items()).map(({ id, arms }) => {
      const { rounds } = arms.find(({ name }) => name === 'written')!;
      return { id, gain: rounds.at(-1)!.scores['image_similarity']! - rounds[0]!.scores['image_similarity']! };
    });
    const ids = (holds: (gain: number) => boolean) => gains.filter(({ gain }) => holds(gain)).map(({ id }) => id);
    await run.lists(
      `temporal workflow list --query 'RefineRun = "RUN" AND RefineGain > 0.3'`,
      ids((gain) => gain > 0.3),
    );
    await run.lists(
      `temporal workflow list --query 'RefineRun = "RUN" AND RefineGain < 0'`,
      ids((gain) => gain < 0),
    );
    scorer.signal('SIGTERM');
    await scorer.ended;
  });
});

test('a run whose items in flight are cancelled as a batch goes on with the others, and takes them up when told', async () => {
  const run = new Run('batch');
  await run.start('--concurrency', '2');
  await run.pictures(2);
  await run.temporal(
    `temporal workflow cancel --query 'RefineRun = "RUN" AND RefineItem IS NOT NULL AND ExecutionStatus = "Running"' --reason 'poisoned' --yes`,
  );
  await until('two are cancelled', async () => (await run.command('status')).items.cancelled === 2);
  await run.pictures(4);
  await run.temporal(`temporal workflow update execute --workflow-id RUN --name retry --input '{"kind": "failed"}'`);
  const scorer = await cluster.worker('cpu');
  expect(await run.follow()).toMatchObject({ state: 'completed', items: { total: 4, done: 4, cancelled: 0 } });
  expect(executedTwice(await run.ledger())).toEqual([]);
  scorer.signal('SIGTERM');
  await scorer.ended;
});

test('a run whose root is terminated or cancelled goes on when it is started again', async () => {
  const run = new Run('root');
  await run.start('--concurrency', '2');
  await run.pictures(2);
  await run.temporal(`temporal workflow terminate --workflow-id RUN --reason 'by hand'`);
  expect(await run.command('status')).toMatchObject({ state: 'failed' });
  const { code, stderr } = await cli(['cancel', run.id, '--store', run.store, '--address', cluster.address]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('its workflow was ended from outside') });
  expect(await cliJson(['status', run.id, '--store', run.store])).toMatchObject({ state: 'failed', source: 'store' });
  await run.start('--concurrency', '2'); // At once: its partition may be there still, and two items are in flight.
  await until('it goes on', async () => (await run.command('status')).state === 'running');
  await run.temporal('temporal workflow cancel --workflow-id RUN');
  await until('it is cancelled', async () => (await run.command('status')).state === 'cancelled');
  expect(await run.command('status')).toMatchObject({ items: { total: 4, cancelled: 4, running: 0 } });
  await cluster.worker('cpu');
  expect(await run.follow()).toMatchObject({ state: 'completed', items: { total: 4, done: 4 } });
  expect(executedTwice(await run.ledger())).toEqual([]);
});

test('every command of the page was run', () => {
  expect(PAGE.filter((line) => !used.has(line))).toEqual([]);
});
