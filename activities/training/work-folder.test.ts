import { jest } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { modelDigest } from '../../engine/inference/index.js';
import { openStore } from '../../engine/storage/index.js';
import { ActivityServices, type TrainingContext } from '../services.js';
import { inWorkFolder, type TrainingTools, type WorkFolder } from './work-folder.js';

jest.setTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), 'refineloop-work-folder-'));
afterAll(() => rmSync(folder, { recursive: true }));
const base = join(folder, 'base');
mkdirSync(base);
writeFileSync(join(base, 'config.json'), '{}');

/** Says that it is there, and then nothing until it is ended. */
const WAITING = 'import time\nprint(\'{"event": "checkpoint", "step": 1, "path": ""}\', flush=True)\ntime.sleep(60)\n';

async function setUp(program: string) {
  for (const script of ['train', 'export', 'measure']) writeFileSync(join(folder, `${script}.py`), program);
  const services = new ActivityServices({ host: null, worker: 'test', trainer: folder, python: 'python3' });
  const store = await openStore(join(folder, 'store'));
  const recipe = { kind: 'blip2' };
  const training = {
    store,
    files: store.training('t'),
    manifest: { trainingId: 't', recipe, imageEncoder: null, base: { path: base, digest: await modelDigest(base) } },
  };
  return <T>(work: (made: WorkFolder) => Promise<T>, signal = new AbortController().signal) => {
    const tools: TrainingTools = { signal, attempt: 1, isLast: () => true, progress: () => {}, log: () => {} };
    return inWorkFolder(services, training as unknown as TrainingContext, 'train 0', tools, {} as never, work);
  };
}

test('an attempt that was given up leaves the folder and the program of the next one alone, which has ended its own', async () => {
  const attempt = await setUp(WAITING);
  const running = () =>
    new Promise<{ folder: string; ended: Promise<unknown>; stop: AbortController }>((resolve, reject) => {
      const stop = new AbortController();
      const ended = attempt(({ out, run }) => run('train', () => resolve({ folder: dirname(out), ended, stop })), stop.signal).catch(
        (error: Error) => (reject(error), error),
      ); // Where it runs already, that is no news.
    });
  const first = await running();
  const second = await running();
  const [gone, ended] = [await first.ended, existsSync(first.folder)];
  const left = ['config.json', 'program.pid'].map((name) => existsSync(join(second.folder, name)));
  second.stop.abort(new Error('enough'));
  // Had it been ended by the first, it would have crashed.
  expect(await second.ended).toMatchObject({ message: 'enough' });
  expect(gone).toMatchObject({ name: 'TrainerCrashed', message: expect.stringContaining('was killed') });
  expect({ ended, left }).toEqual({ ended: false, left: [true, true] });
  expect(existsSync(second.folder)).toBe(false);
});
