/** What activities tell Temporal while they run, in Temporal's own environment for one activity. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { ActivityServices, createActivities } from '../../activities/index.js';
import { prepareRun } from '../../app/client/prepare-run.js';
import { claimRun } from '../../app/client/start-run.js';
import { loadRecipe } from '../../app/recipe/index.js';
import { scratch } from '../support/cli.js';
import { writeRecipe } from '../support/small-recipe.js';

test('heartbeats of indexing carry on how often it has failed before', async () => {
  const prepared = await prepareRun(await loadRecipe(writeRecipe(scratch())), 'heartbeats');
  await claimRun(prepared);
  const failed = { StorageUnavailable: 2 };
  const environment = new MockActivityEnvironment({ attempt: 3, heartbeatDetails: { failed } });
  const beats: unknown[] = [];
  environment.on('heartbeat', (details) => beats.push(details));
  const { indexDataset } = createActivities(new ActivityServices({ worker: 'test', host: null }));
  const run = { store: prepared.storeUri, runId: 'heartbeats' };
  await expect(environment.run(indexDataset, { run })).resolves.toMatchObject({ total: 3, items: 3 });
  expect(beats.length).toBeGreaterThan(0);
  for (const beat of beats) expect(beat).toMatchObject({ done: expect.any(Number), failed });
});
