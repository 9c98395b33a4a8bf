/** docs/deploying.md: another version of the workflows, one that open items could not be replayed on, in the middle of a run. */
import { jest } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { itemWorkflowId } from '../../core/ids.js';
import { findTemporalCli } from '#temporal-cli';
import { changed } from '../support/changed-workflows.js';
import { cli, cliJson, ROOT, scratch, startNode, type RunningCli } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { workflowIds } from '../support/histories.js';
import { until } from '../support/processes.js';
import { completed, executedTwice, readItems, readLedger, type RunDocument } from '../support/runs.js';
import { CONTROL, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

const PAGE = readFileSync(join(ROOT, 'docs/deploying.md'), 'utf8');
const folder = scratch();
const store = join(folder, 'store');
let cluster: Cluster;
let gpu: RunningCli;

beforeAll(async () => {
  cluster = await Cluster.start();
  [gpu] = await Promise.all([cluster.worker('gpu'), cluster.worker('orchestrator', '--build-id', '1.0.0')]);
  await deployment('set-current-version', '1.0.0');
});
afterAll(() => cluster.stop());

/** A `temporal worker deployment` command of the page, for one build id. */
async function deployment(command: string, buildId: string): Promise<string> {
  const line = PAGE.split('\n').find((text) => text.startsWith(`temporal worker deployment ${command} `));
  if (!line) throw new Error(`docs/deploying.md has no ${command}`);
  const args = line.replace(/(?<=--build-id )\S+/, buildId).split(' ').slice(1); // prettier-ignore
  const run = async () => (await promisify(execFile)(findTemporalCli()!.path, [...args, '--address', cluster.address])).stdout;
  // The server learns of a version from its first poll.
  return until(`${command} ${buildId}`, () => run().catch(() => ''));
}

/** A version whose items begin with another activity than those that are open. */
async function incompatibleBundle(): Promise<string> {
  const sources = changed(
    'workflows/refine-item.ts',
    'cheaply(orchestration, (a) => a.recallItem({ item }))',
    'orchestration.recallItem({ item })',
  );
  const logger = new DefaultLogger('ERROR');
  const { code } = await bundleWorkflowCode({ workflowsPath: join(sources, 'workflows/index.ts'), logger });
  const file = join(folder, 'bundle.js');
  writeFileSync(file, code);
  return file;
}

test('items end on the version that they began on, further ones begin on the new one, and nothing is done twice', async () => {
  const recipe = writeRecipe(folder, { limit: 6, arms: [CONTROL] });
  const on = ['--run', 'deployed', '--store', store, '--address', cluster.address];
  await cliJson<RunDocument>(['run', recipe, ...on, '--detach', '--concurrency', '2']);
  const pictures = async () => completed(await readLedger(store, 'deployed')).filter((row) => row.step === 'generate').length;
  await until('two items wait for their score', async () => (await pictures()) === 2);

  const next = startNode([join(ROOT, 'test/support/versioned-worker.mjs'), cluster.address, '1.1.0', await incompatibleBundle()]);
  await next.saw('worker of version 1.1.0');
  await deployment('set-current-version', '1.1.0');
  await cluster.worker('cpu');
  expect(await cliJson<RunDocument>(['run', recipe, ...on])).toMatchObject({ state: 'completed', items: { total: 6, done: 6 } });

  const items = await readItems(store, 'deployed');
  const versions = await Promise.all(
    items.map(async ({ key }) => {
      const { raw } = await cluster.client.workflow.getHandle(itemWorkflowId('deployed', key)).describe();
      return raw.workflowExecutionInfo!.versioningInfo!.deploymentVersion!.buildId;
    }),
  );
  expect(versions.sort()).toEqual(['1.0.0', '1.0.0', '1.1.0', '1.1.0', '1.1.0', '1.1.0']);
  expect(executedTwice(await readLedger(store, 'deployed'))).toEqual([]);
  for (const id of await workflowIds(store, 'deployed')) {
    const { events } = await cluster.client.workflow.getHandle(id).fetchHistory();
    expect(events!.filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
  }
  expect(await deployment('describe-version', '1.0.0')).toMatch(/DrainageStatus\s+drain/);
});

test('a worker that is stopped in the middle of an image ends it, and no attempt is lost', async () => {
  const drained = scratch();
  const recipe = writeRecipe(drained, { limit: 1, steps: 60, arms: [CONTROL], more: { seed: 11 } });
  const on = ['--run', 'drained', '--store', join(drained, 'store'), '--address', cluster.address];
  await cliJson<RunDocument>(['run', recipe, ...on, '--detach']);
  const ledger = (closed = false) => readLedger(join(drained, 'store'), 'drained', closed);
  // Seen as closed, what is open is lost.
  await until('an image is being made', async () => (await ledger(true)).some((row) => row.step === 'generate' && row.status === 'lost'));
  gpu.signal('SIGTERM');
  expect((await gpu.ended).code).toBe(0);
  expect((await ledger()).filter((row) => row.step === 'generate')).toMatchObject([{ attempt: 1, status: 'completed' }]);
  gpu = await cluster.worker('gpu');
  expect(await cliJson<RunDocument>(['run', recipe, ...on])).toMatchObject({ state: 'completed', steps: { retried: 0 } });
  expect((await ledger(true)).filter((row) => row.status !== 'completed' && row.status !== 'recorded')).toEqual([]);
});

test('a build id is refused where it would say nothing', async () => {
  const { code, stderr } = await cli(['worker', '--queue', 'gpu', '--build-id', '1', '--address', cluster.address]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--build-id is for orchestrators') });
});
