import { InvalidInput, OutOfMemory } from '../../core/errors.js';
import { LoadedModels, type LoadedModel } from './loaded-models.js';

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
