import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';
import { openStore } from '../../engine/storage/index.js';
import { whileStoreIsAway } from './while-store-is-away.js';

const folder = mkdtempSync(join(tmpdir(), 'refineloop-away-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('what the program made is written when the store is back; other errors and an end are not waited for', async () => {
  const store = await openStore(join(folder, 'store'));
  const inTheWay = join(folder, 'store/blobs');
  mkdirSync(join(folder, 'store'), { recursive: true });
  writeFileSync(inTheWay, 'no folder');
  const said: string[] = [];
  const write = () => store.putArtifact(Buffer.from('adapter'), 'text/plain');
  const stop = new AbortController();
  const back = (line: string) => {
    said.push(line);
    rmSync(inTheWay);
  };
  const ref = await whileStoreIsAway(stop.signal, back, write);
  expect(Buffer.from(await store.getArtifact(ref)).toString()).toBe('adapter');
  expect(said).toEqual([expect.stringContaining('waits for the store')]);

  const refused = () => Promise.reject(new InvalidInput('no'));
  await expect(whileStoreIsAway(stop.signal, back, refused)).rejects.toThrow('no');
  rmSync(inTheWay, { recursive: true });
  writeFileSync(inTheWay, 'no folder');
  await expect(whileStoreIsAway(stop.signal, () => stop.abort(), write)).rejects.toMatchObject({ name: 'AbortError' });
});
