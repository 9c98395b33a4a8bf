/** Workers as a cluster has them: one process a queue, beside a server that is somebody else's. */
import { jest } from '@jest/globals';
import { join } from 'node:path';
import { cliJson, scratch, startCli } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { processesNaming, until } from '../support/processes.js';
import { readLedger, type RunDocument } from '../support/runs.js';
import { CONTROL, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(120_000);

const folder = scratch();
const recipe = writeRecipe(folder, { limit: 1, arms: [CONTROL] });

test('a run on a named server is carried out by its workers, models on the device that was given', async () => {
  const store = join(folder, 'cluster');
  const cluster = await Cluster.start();
  try {
    const workers = [await cluster.worker('orchestrator'), await cluster.worker('cpu'), await cluster.worker('gpu', '--device', '1')];
    const run = await cliJson<RunDocument>(['run', recipe, '--run', 'clustered', '--store', store, '--address', cluster.address]);
    expect(run).toMatchObject({ state: 'completed', items: { done: 1 }, ui: null });
    const devices = (await readLedger(store, 'clustered')).map((row) => [row.step, row.device]);
    expect(new Set(devices.map(String))).toEqual(new Set(['generate,cpu:1', 'embed,cpu:1', 'score,cpu']));

    workers.forEach((worker) => worker.signal('SIGTERM'));
    expect((await Promise.all(workers.map((worker) => worker.ended))).map(({ code }) => code)).toEqual([0, 0, 0]);
  } finally {
    await cluster.stop();
  }
});

test('a worker joins the server that `dev` keeps, and `run --detach` leaves the work there', async () => {
  const store = join(folder, 'dev');
  const dev = startCli(['dev', '--store', store, '--json']);
  await dev.saw('"address"');
  const { address } = JSON.parse(dev.output().stdout) as { address: string };
  const worker = startCli(['worker', '--queue', 'gpu', '--device', '1', '--store', store]);
  await worker.saw(`worker on queue gpu, device cpu:1, server ${address}`);

  const begun = await cliJson<RunDocument>(['run', recipe, '--run', 'left', '--store', store, '--detach']);
  expect(begun).toMatchObject({ runId: 'left', report: null });
  await until('the run is done', async () => {
    const { state } = await cliJson<RunDocument>(['status', 'left', '--store', store]);
    return state === 'completed';
  });

  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  dev.signal('SIGINT');
  expect((await dev.ended).code).toBe(0);
  expect(processesNaming(store)).toEqual([]);
});
