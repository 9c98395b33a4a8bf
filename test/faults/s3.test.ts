/** A run whose store is a bucket: the same results as in a folder, also where the server is killed in the middle. */
import { jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../../engine/storage/index.js';
import { cli, cliJson, scratch, startCli } from '../support/cli.js';
import { startMinio, type Minio } from '../support/minio.js';
import { executedTwice, type LedgerRow, type RunDocument } from '../support/runs.js';
import { writeRecipe } from '../support/small-recipe.js';

// Building MinIO takes minutes, once on a machine.
jest.setTimeout(900_000);

const folder = scratch();
const recipe = writeRecipe(folder, { limit: 6, steps: 4 });
let minio: Minio;
let store: string;
beforeAll(async () => {
  minio = await startMinio();
  store = minio.uri('runs');
});
afterAll(() => minio?.close());

const on = (...args: string[]) => [...args, '--store', store];

test('a run goes on when the server of its store was killed and comes back; the results are those of a folder', async () => {
  const running = startCli(on('run', recipe, '--run', 'one', '--json'));
  const objects = (await openStore(store)).objects;
  const pictures = async (): Promise<number> => {
    let count = 0;
    for await (const key of objects.list('blobs/')) if (key !== '') count++;
    return count;
  };
  let ended = false;
  void running.ended.then(() => (ended = true));
  while (!ended && (await pictures()) < 8) await new Promise((resolve) => setTimeout(resolve, 200));
  expect({ ended, ...running.output() }).toMatchObject({ ended: false });
  await minio.kill();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await minio.start();
  const { code, stdout, stderr } = await running.ended;
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ state: 'completed', items: { total: 6, done: 6 } });

  const inFolder = join(folder, 'store');
  await cliJson<RunDocument>(['run', recipe, '--run', 'one', '--store', inFolder]);
  const own = await cli(on('report', 'one', '--json'));
  expect(own.stdout).toBe(readFileSync(join(inFolder, 'runs/one/report/report.json'), 'utf8'));

  const ledger = await cliJson<LedgerRow[]>(on('ledger', 'one'));
  expect(executedTwice(ledger)).toEqual([]);
});

test('verify names exactly the object in which one byte is flipped, and a new run makes it again', async () => {
  interface Verification {
    corrupt: string[];
    missing: string[];
  }
  const verify = (code?: number) => cliJson<Verification>(on('verify', 'one'), code);
  expect(await verify()).toMatchObject({ corrupt: [], missing: [] });
  const { objects } = await openStore(store);
  const report = await cliJson<{ items: Array<{ arms: Array<{ rounds: Array<{ image: string }> }> }> }>(on('report', 'one'));
  const digest = report.items[1]!.arms[0]!.rounds[1]!.image;
  const hex = digest.slice('sha256:'.length);
  const key = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
  const sound = (await objects.get(key))!;
  const spoilt = Buffer.from(sound);
  spoilt[spoilt.length >> 1]! ^= 1;
  await objects.put(key, spoilt);
  expect(await verify(1)).toMatchObject({ corrupt: [digest], missing: [] });
  const healed = await cliJson<RunDocument>(on('run', recipe, '--run', 'two'));
  expect(healed).toMatchObject({ state: 'completed', steps: { executed: 1 } });
  expect(Buffer.compare((await objects.get(key))!, sound)).toBe(0);
  expect(await verify()).toMatchObject({ corrupt: [], missing: [] });
});

test('doctor says that the store can be written, and what is wrong where it cannot', async () => {
  const { stdout } = await cli(on('doctor'));
  expect(stdout).toMatch(/store.*can be written/);
  const gone = await cli(['status', 'one', '--store', `s3://no-such-bucket/x?endpoint=${minio.endpoint}`]);
  expect({ code: gone.code, stderr: gone.stderr }).toEqual({
    code: 4,
    stderr: expect.stringContaining('there is no such bucket; make it'),
  });
});
