import { execFileSync, spawn } from 'node:child_process';
import { existsSync, promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { once } from 'node:events';
import { transformFile } from '@swc/core';
import { StorageUnavailable } from '../../core/errors.js';
import { FileObjectStore } from './file-object-store.js';

const text = (value: string): Uint8Array => Buffer.from(value);
let folder: string;
let store: FileObjectStore;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-file-'));
  store = new FileObjectStore(join(folder, 'store'));
});
afterEach(() => fs.rm(folder, { recursive: true, force: true }));

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const key of store.list('')) found.push(key);
  return found;
}

/** The store's own code as JavaScript in the temporary folder, so that other Node processes can run it. */
async function compiled(): Promise<string> {
  const entry = join(folder, 'engine/storage/file-object-store.js');
  if (existsSync(entry)) return entry;
  const storage = ['object-store', 'file-errors', 'make-folder', 'file-object-store'].map((name) => `engine/storage/${name}`);
  for (const file of ['core/errors', ...storage]) {
    const { code } = await transformFile(resolve(`${file}.ts`), {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    });
    await fs.mkdir(dirname(join(folder, file)), { recursive: true });
    await fs.writeFile(join(folder, `${file}.js`), code);
  }
  await fs.writeFile(join(folder, 'package.json'), '{"type":"module"}');
  return entry;
}

async function process(script: string): Promise<ReturnType<typeof spawn>> {
  const path = join(folder, `script-${Math.random().toString(36).slice(2)}.mjs`);
  await fs.writeFile(
    path,
    `import { FileObjectStore } from ${JSON.stringify(await compiled())};\nconst store = new FileObjectStore(${JSON.stringify(store.root)});\n${script}`,
  );
  return spawn('node', [path], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function output(child: ReturnType<typeof spawn>): Promise<string> {
  let out = '';
  child.stdout!.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).toBe(0);
  return out;
}

it('lets one of several processes win each key', async () => {
  const script = (name: string): string => `
    let won = [];
    for (let i = 0; i < 100; i++) if (await store.put('steps/' + i, Buffer.from('${name}'), { ifAbsent: true })) won.push(i);
    console.log(JSON.stringify(won));`;
  const names = ['a', 'b', 'c', 'd'];
  const children = [];
  for (const name of names) children.push(await process(script(name)));
  const won = (await Promise.all(children.map(output))).map((out) => JSON.parse(out) as number[]);
  expect(won.flat().sort((x, y) => x - y)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  for (const [n, indices] of won.entries()) {
    for (const i of indices) expect(Buffer.from((await store.get(`steps/${i}`))!).toString()).toBe(names[n]);
  }
}, 30_000);

it('has whole objects only after a writer was killed in the middle', async () => {
  const size = 4_000_000;
  const child = await process(`for (let i = 0; ; i++) { await store.put('blobs/' + i, Buffer.alloc(${size}, i)); console.log(i); }`);
  await once(child.stdout!, 'data');
  // Killed while a temporary file is there: that is in the middle of a write.
  let temporary = false;
  while (!temporary) temporary = (await fs.readdir(join(store.root, 'blobs'))).some((name) => name.startsWith('.tmp-'));
  child.kill('SIGKILL');
  await once(child, 'close');
  const names = await keys();
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) expect(await store.size(name)).toBe(size);
}, 30_000);

it('never takes the temporary file of a crashed writer for content', async () => {
  await store.put('items/a.json', text('a'));
  await fs.writeFile(join(store.root, 'items/.tmp-1-dead'), 'half');
  await fs.mkdir(join(store.root, '.tmp-folder'));
  expect(await keys()).toEqual(['items/a.json']);
  expect(await store.listFolders('')).toEqual(['items']);
});

it('leaves no temporary file behind, whatever a put comes to', async () => {
  await store.put('k', text('1'));
  await store.put('k', text('2'), { ifAbsent: true });
  await store.put('k', text('2'), { ifMatch: text('1') });
  await fs.mkdir(join(store.root, 'folder'));
  await expect(store.put('folder', text('x'))).rejects.toThrow(StorageUnavailable);
  expect((await fs.readdir(store.root)).sort()).toEqual(['folder', 'k']);
});

async function refusal(action: Promise<unknown>): Promise<string> {
  const error: unknown = await action.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StorageUnavailable);
  return (error as Error).message;
}

it('says that a file stands where a folder should be, and where', async () => {
  await fs.writeFile(join(folder, 'store'), 'a file');
  for (const action of [
    () => store.put('a/b', text('x')),
    () => store.get('a/b'),
    () => store.has('a'),
    () => store.append('l', text('x'), { durable: true }),
    () => keys(),
  ]) {
    const message = await refusal(action());
    expect(message).toContain(store.root);
    expect(message).toContain('a file stands where a folder should be');
  }
});

it('says that a folder stands where a file should be', async () => {
  await fs.mkdir(join(store.root, 'k'), { recursive: true });
  expect(await refusal(store.get('k'))).toContain('a folder stands where a file should be');
});

/** Mounts over the store's folder for the time of an action; false where this machine does not allow it. */
async function mounted(options: string[], action: () => Promise<void>): Promise<boolean> {
  await fs.mkdir(store.root, { recursive: true });
  try {
    execFileSync('mount', [...options, store.root], { stdio: 'ignore' });
  } catch {
    return false;
  }
  try {
    await action();
  } finally {
    execFileSync('umount', [store.root]);
  }
  return true;
}

it('says that the disk is full, and keeps what was there', async () => {
  const full = async (): Promise<void> => {
    await store.put('small', text('kept'));
    expect(await refusal(store.put('big', Buffer.alloc(200_000)))).toMatch(/cannot write .*big: the disk is full/);
    expect(await refusal(store.put('small', Buffer.alloc(200_000)))).toContain('the disk is full');
    expect(await fs.readdir(store.root)).toEqual(['small']);
    expect(Buffer.from((await store.get('small'))!).toString()).toBe('kept');
  };
  if (await mounted(['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs'], full)) return;
  // Without the right to mount there is one full device on every Linux.
  await fs.symlink('/dev/full', join(store.root, 'log'));
  expect(await refusal(store.append('log', text('x'), { durable: false }))).toMatch(/cannot write .*log: the disk is full/);
});

it('says that the folder is read-only, and goes on reading', async () => {
  await store.put('k', text('x'));
  const readOnly = async (): Promise<void> => {
    for (const action of [
      () => store.put('new', text('y')),
      () => store.append('k', text('y'), { durable: false }),
      () => store.delete('k'),
    ]) {
      expect(await refusal(action())).toMatch(/the folder is read-only/);
    }
    expect(Buffer.from((await store.get('k'))!).toString()).toBe('x');
  };
  if (await mounted(['--bind', '-o', 'ro', store.root], readOnly)) return;
  // Without the right to mount: no user may make a file in /sys, and the kernel says why in one of three ways.
  expect(await refusal(new FileObjectStore('/sys/refineloop').put('k', text('x')))).toMatch(/read-only|permission is denied/);
});
