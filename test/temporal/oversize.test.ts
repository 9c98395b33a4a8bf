/** What must not travel through Temporal fails at once and by name; and a partition of many items goes on as new. */
import { jest } from '@jest/globals';
import { mkdirSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { itemKey, itemWorkflowId, partitionWorkflowId } from '../../core/ids.js';
import { cliJson, scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { payloadsOf } from '../support/histories.js';
import { readItems, type RunDocument } from '../support/runs.js';
import { CREATURES, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

/** More than a partition starts before it continues as new. */
const ITEMS = 530;
/** Long, so that a page of the index holds few items. */
const CAPTION = 'A creature. '.repeat(20);

test('items that are too large to travel fail each on its own, without a second attempt, over continue-as-new', async () => {
  const folder = scratch();
  const store = join(folder, 'store');
  const data = join(folder, 'data');
  mkdirSync(data);
  copyFileSync(join(CREATURES, 'test/creature-0601.png'), join(data, 'a.png'));
  const rows = Array.from({ length: ITEMS }, (_, i) =>
    JSON.stringify({ id: `item-${i}`, file_name: 'a.png', text: CAPTION, feedback: 'It is blue.' }),
  );
  writeFileSync(join(data, 'metadata.jsonl'), rows.join('\n'));
  // Each item's plan names all arms.
  const arms = Array.from({ length: 420 }, (_, i) => ({ ...WRITTEN, name: `written-${i}-${'x'.repeat(40)}` }));
  const recipe = writeRecipe(folder, { dataset: { uri: data }, arms });

  const cluster = await Cluster.start();
  try {
    await cluster.worker('orchestrator');
    const run = await cliJson<RunDocument>(
      ['run', recipe, '--run', 'large', '--store', store, '--address', cluster.address, '--concurrency', '100'],
      3,
    );
    expect(run).toMatchObject({ state: 'completed_with_failures', items: { total: ITEMS, failed: ITEMS, pending: 0 } });

    const records = await readItems(store, 'large');
    expect(new Set(records.map((record) => record.id)).size).toBe(ITEMS);
    for (const { failure } of records) {
      expect(failure).toMatchObject({
        type: 'InvalidInput',
        step: 'load',
        attempt: 1,
        message: expect.stringMatching(/result of recallItem is \d+ bytes.*plan\.arms/),
      });
    }

    const { client } = cluster;
    const partition = await client.workflow.getHandle(partitionWorkflowId('large', 0)).fetchHistory();
    const begun = partition.events?.[0]?.workflowExecutionStartedEventAttributes;
    expect(begun?.continuedExecutionRunId).toBeTruthy();
    const ids = ['large', partitionWorkflowId('large', 0), itemWorkflowId('large', itemKey('item-7'))];
    const payloads = (await Promise.all(ids.map((id) => payloadsOf(client, id)))).flat();
    expect(Math.max(...payloads.map((payload) => payload.bytes))).toBeLessThan(64 * 1024);
  } finally {
    await cluster.stop();
  }
});
