/** One battery for every kind of store, S3 on a real MinIO. */
import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { jest } from '@jest/globals';
import { StorageUnavailable } from '../../core/errors.js';
import { FileObjectStore, LedgerFollower, LedgerWriter, openStore, type ObjectStore } from '../../engine/storage/index.js';
import { S3ObjectStore } from '../../engine/storage/s3-object-store.js';
import { parseS3Uri } from '../../engine/storage/s3-uri.js';
import { startMinio, type Minio } from '../support/minio.js';
import { objectStoreBattery, type OpenedStore } from './object-store-battery.js';

// Building MinIO takes minutes, once on a machine.
jest.setTimeout(900_000);

let minio: Minio;
let views = 0;
beforeAll(async () => void (minio = await startMinio()));
afterAll(() => minio?.close());

function inFolder(options: { hardLinks?: boolean }): () => Promise<OpenedStore> {
  return async () => {
    const root = await fs.mkdtemp(join(tmpdir(), 'refineloop-store-'));
    const store = (): ObjectStore => new FileObjectStore(join(root, 'made at the first write'), options);
    const leftovers = async () => (await fs.readdir(root, { recursive: true })).filter((name) => basename(name).startsWith('.tmp-'));
    return { a: store(), b: store(), leftovers, close: () => fs.rm(root, { recursive: true }) };
  };
}

const inBucket = async (): Promise<OpenedStore> => {
  const prefix = `view/${views++}`;
  const store = (): ObjectStore => new S3ObjectStore(parseS3Uri(minio.uri(prefix)));
  return { a: store(), b: store(), leftovers: (key) => minio.uploads(`${prefix}/${key}`), close: () => Promise.resolve() };
};

objectStoreBattery('file:', inFolder({}));
objectStoreBattery('file: without hard links', inFolder({ hardLinks: false }));
objectStoreBattery('s3:', inBucket);

test('a listing of more than one page is whole and in order', async () => {
  const { a, b } = await inBucket();
  const keys = Array.from({ length: 1050 }, (_, i) => `items/${String(i).padStart(5, '0')}`);
  await Promise.all(keys.map((key) => a.put(key, Buffer.from(key))));
  const found: string[] = [];
  for await (const key of b.list('items/')) found.push(key);
  expect(found).toEqual(keys);
});

test('a ledger in a bucket is few objects, and each line is read once while they grow and are followed by others', async () => {
  const { a, b } = await inBucket();
  const step = { step: 'embed' as const, arm: null, round: 0, draw: 0, key: 'k'.repeat(64) };
  const writer = new LedgerWriter(a, 'r', 'w');
  const follower = new LedgerFollower(b, 'r');
  const seen: string[] = [];
  let writing = true;
  const reading = (async () => {
    for (let last = false; !last;) {
      last = !writing;
      for (const line of await follower.readOn()) seen.push(`${line.row} ${line.row === 'end' ? line.id : line.item}`);
    }
  })();
  const written: string[] = [];
  for (let i = 0; i < 400; i++) {
    const id = await writer.start({ ...step, item: `item-${i}`, attempt: 1, device: 'cpu' });
    await writer.end({ id, status: 'completed', seconds: 1 });
    written.push(`start item-${i}`, `end ${id}`);
  }
  writing = false;
  await reading;
  expect(seen).toEqual(written);
  const parts: string[] = [];
  for await (const part of b.list('runs/r/ledger/')) parts.push(part);
  expect(parts.length).toBeGreaterThan(1);
  expect(parts.length).toBeLessThan(8);
});

test('says what is wrong with a bucket, keys or a server that is gone, and what to do', async () => {
  const refusal = async (uri: string): Promise<string> => {
    const error: unknown = await openStore(uri).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StorageUnavailable);
    return (error as Error).message;
  };
  expect(await refusal(`s3://no-such-bucket/x?endpoint=${minio.endpoint}`)).toMatch(/no-such-bucket.*there is no such bucket; make it/);
  expect(await refusal('s3://pictures/x?endpoint=http://127.0.0.1:9')).toMatch(/nothing listens there; start the server/);
  const secret = process.env['AWS_SECRET_ACCESS_KEY']!;
  process.env['AWS_SECRET_ACCESS_KEY'] = 'wrong';
  try {
    expect(await refusal(minio.uri('x'))).toMatch(/access is denied|secret key does not fit/);
  } finally {
    process.env['AWS_SECRET_ACCESS_KEY'] = secret;
  }
});

test('what was written is there after the server was killed and started again', async () => {
  const { a, b } = await inBucket();
  await a.put('k', Buffer.from('kept'));
  await minio.kill();
  const waiting = b.get('k');
  await minio.start();
  expect(Buffer.from((await waiting)!).toString()).toBe('kept');
});
