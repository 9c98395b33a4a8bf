import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from './make-folder.js';

let root: string;
beforeEach(async () => {
  root = await fs.mkdtemp(join(tmpdir(), 'refineloop-make-folder-'));
});
afterEach(() => fs.rm(root, { recursive: true }));

test('makes what is missing, also side by side, and takes what is there', async () => {
  const deep = join(root, 'a/b/c');
  await Promise.all(Array.from({ length: 8 }, (_, i) => makeFolder(join(deep, String(i)))));
  await makeFolder(deep);
  expect((await fs.readdir(deep)).length).toBe(8);
});

test('takes a parent that another writer makes in between', async () => {
  for (let turn = 0; turn < 200; turn++) {
    const deep = join(root, String(turn), 'a/b');
    await Promise.all(Array.from({ length: 6 }, (_, i) => makeFolder(join(deep, String(i)))));
    expect(await fs.readdir(deep)).toHaveLength(6);
  }
});

test('a file in the way is an error', async () => {
  await fs.writeFile(join(root, 'file'), '');
  await expect(makeFolder(join(root, 'file/below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test('ends below a folder in which nothing can be made', async () => {
  await expect(makeFolder('/proc/nowhere/a/b')).rejects.toThrow(/ENOENT|EACCES|EROFS/);
});
