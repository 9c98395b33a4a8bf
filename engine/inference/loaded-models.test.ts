import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInput, OutOfMemory } from '../../core/errors.js';
import { faultyModel } from '../../test/support/onnx-graphs.mjs';
import { LoadedModels, type LoadedModel } from './loaded-models.js';
import { Sessions } from './sessions.js';

/** Something that weighs; `log` tells what is loaded and let go. */
function weights(log: string[]) {
  return (name: string, bytes: number) => (): Promise<LoadedModel> => {
    log.push(`load ${name}`);
    return Promise.resolve({ bytes, release: () => Promise.resolve(void log.push(`release ${name}`)) });
  };
}
const nothing = () => Promise.resolve();

test('above the budget the least recently used model is let go, and loaded again when it is wanted', async () => {
  const log: string[] = [];
  const of = weights(log);
  const models = new LoadedModels(10);
  await models.use('a', of('a', 4), nothing);
  await models.use('b', of('b', 4), nothing);
  await models.use('a', of('a', 4), nothing);
  await models.use('c', of('c', 4), nothing);
  expect(log).toEqual(['load a', 'load b', 'load c', 'release b']);
  await models.use('a', of('a', 4), nothing);
  await models.use('b', of('b', 4), nothing);
  expect(log.slice(4)).toEqual(['load b', 'release c']);
});

test('the one in use stays, however large; without a budget all stay', async () => {
  const log: string[] = [];
  const of = weights(log);
  const small = new LoadedModels(1);
  await small.use('a', of('a', 4), nothing);
  await small.use('a', of('a', 4), nothing);
  expect(log).toEqual(['load a']);
  await small.use('b', of('b', 4), nothing);
  expect(log).toEqual(['load a', 'load b', 'release a']);
  const free = new LoadedModels();
  for (const name of ['c', 'd', 'c', 'd']) await free.use(name, of(name, 1e12), nothing);
  expect(log.slice(3)).toEqual(['load c', 'load d']);
});

test('one that does not fit beside the others is loaded once they are gone; another failure is not tried again', async () => {
  const log: string[] = [];
  const of = weights(log);
  const models = new LoadedModels();
  await models.use('a', of('a', 4), nothing);
  let tries = 0;
  const greedy = () => (++tries === 1 ? Promise.reject(new OutOfMemory('no room')) : of('b', 4)());
  await models.use('b', greedy, nothing);
  expect(log).toEqual(['load a', 'release a', 'load b']);
  const broken = () => (tries++, Promise.reject(new InvalidInput('broken')));
  tries = 0;
  await expect(models.use('c', broken, nothing)).rejects.toThrow('broken');
  expect(tries).toBe(1);
});

test('work that runs out of memory is done again once the others are gone, the model in use stays; alone, or a second time, it fails', async () => {
  const log: string[] = [];
  const of = weights(log);
  const models = new LoadedModels();
  await models.use('a', of('a', 4), nothing);
  let tries = 0;
  const greedy = (until: number) => () => (++tries < until ? Promise.reject(new OutOfMemory('no room')) : Promise.resolve('done'));
  await expect(models.use('b', of('b', 4), () => models.withRoom(greedy(2)))).resolves.toBe('done');
  expect(log).toEqual(['load a', 'load b', 'release a']);
  await models.use('a', of('a', 4), nothing);
  tries = 0;
  await expect(models.use('b', of('b', 4), () => models.withRoom(greedy(9)))).rejects.toThrow('no room');
  expect([tries, log.slice(3)]).toEqual([2, ['load a', 'release a']]);
  await expect(models.use('b', of('b', 4), () => models.withRoom(greedy(9)))).rejects.toThrow('no room');
  expect(tries).toBe(3);
});

test('the runtime’s own word that memory ran out, in the middle of a call, lets the others go', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greedy-'));
  const log: string[] = [];
  const models = new LoadedModels();
  await models.use('a', weights(log)('a', 4), nothing);
  const sessions = new Sessions({ provider: 'cpu', device: 0, threads: 1 }, models.withRoom);
  try {
    const file = join(await faultyModel(folder, { kind: 'allocate', bytes: 2 ** 50 }), 'unet/model.onnx');
    const call = models.use(
      'greedy',
      () => Promise.resolve(sessions),
      async () => {
        const unet = await sessions.load(file);
        log.push('call');
        const dims = { sample: [1, 4, 8, 8], timestep: [1], encoder_hidden_states: [1, 2, 4] };
        const zeros = (n: number[]) => new Array<number>(n.reduce((a, b) => a * b)).fill(0);
        const feeds = Object.entries(dims).map(([name, shape]) => [name, unet.tensor(name, zeros(shape), shape)] as const);
        return unet.run(Object.fromEntries(feeds));
      },
    );
    await expect(call).rejects.toMatchObject({ code: 'OutOfMemory' });
    expect(log).toEqual(['load a', 'call', 'release a']);
  } finally {
    await sessions.release();
    await rm(folder, { recursive: true });
  }
});
