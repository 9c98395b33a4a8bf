/** The loop as a plugin in somebody else's worker, beside his own workflow. */
import { jest } from '@jest/globals';
import { join } from 'node:path';
import { cliJson, ROOT, scratch, startNode, type RunningCli } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import type { RunDocument } from '../support/runs.js';
import { CONTROL, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(60_000);

const folder = scratch();
const recipe = writeRecipe(folder, { limit: 1, arms: [CONTROL] });
const store = join(folder, 'store');
let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
  // None of our own orchestrators: theirs is the only one.
  await Promise.all([cluster.worker('cpu'), cluster.worker('gpu')]);
});
afterAll(() => cluster.stop());

async function userWorker(variant: string): Promise<RunningCli> {
  const worker = startNode([join(ROOT, 'test/support/user-worker.mjs'), cluster.address, variant]);
  await worker.saw(`worker with ${variant}`);
  return worker;
}

test.each(['path', 'bundle'])('both workflows run in one worker, made with workflows by %s', async (variant) => {
  const worker = await userWorker(variant);
  const greeting = await cluster.client.workflow.execute('greetSomebody', {
    workflowId: `greet-${variant}`,
    taskQueue: 'orchestrator',
    args: ['you'],
  });
  expect(greeting).toBe('Hello, you!');
  const run = await cliJson<RunDocument>(['run', recipe, '--run', variant, '--store', store, '--address', cluster.address]);
  expect(run).toMatchObject({ state: 'completed', items: { done: 1 } });
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
});
