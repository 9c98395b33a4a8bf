import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getFolder, openStore } from '../../engine/storage/index.js';
import { CellRecorder } from './cell-recorder.js';

const folder = mkdtempSync(join(tmpdir(), 'refineloop-recorder-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a checkpoint that the program deletes before it is written is written all the same, under its name', async () => {
  const files = (await openStore(join(folder, 'store'))).training('t');
  const scratch = join(folder, 'scratch');
  const recorder = new CellRecorder(files, files.checkpoints(0), 'k', 0, 1, { step: 0, curve: [] }, scratch);
  recorder.onEvent({ event: 'start', totalSteps: 9, resumedFrom: 0, examples: { train: 1, validation: 1 } });
  for (const step of [1, 2, 3]) {
    recorder.onEvent({ event: 'step', step, epoch: step, loss: 1, learningRate: 1 });
    const path = join(folder, `checkpoints/checkpoint-${step}`);
    mkdirSync(join(path, 'deep'), { recursive: true });
    writeFileSync(join(path, 'deep/state'), String(step));
    recorder.onEvent({ event: 'checkpoint', step, path });
    rmSync(path, { recursive: true });
  }
  await recorder.settled();
  const { record, curve } = (await files.checkpoints(0).find('k'))!;
  expect(record).toMatchObject({ step: 3, name: 'checkpoint-3' });
  expect(curve.map(({ step }) => step)).toEqual([1, 2, 3]);
  await getFolder(files.checkpoints(0).blobsOf(record.writer), record.folder, join(folder, 'out'));
  expect(readFileSync(join(folder, 'out/deep/state'), 'utf8')).toBe('3');
  expect(readdirSync(scratch)).toEqual([]);
  expect(recorder.gotOn).toBe(true);
});
