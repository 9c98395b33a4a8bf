/** S3 calls through a proxy that throttles and cuts connections, in front of a real MinIO. */
import { randomFillSync } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { jest } from '@jest/globals';
import { StatusReader } from '../../app/client/status.js';
import { StorageUnavailable } from '../../core/errors.js';
import { Store } from '../../engine/storage/index.js';
import { S3ObjectStore } from '../../engine/storage/s3-object-store.js';
import { parseS3Uri } from '../../engine/storage/s3-uri.js';
import { testRun } from '../browser/hand-made-run.js';
import { BUCKET, startMinio, type Minio } from '../support/minio.js';
import { startFaultProxy, type Fault, type FaultProxy } from './fault-proxy.js';

// Building MinIO takes minutes, once on a machine.
jest.setTimeout(900_000);

let minio: Minio;
let proxy: FaultProxy;
let store: S3ObjectStore;
let views = 0;
let prefix: string;
beforeAll(async () => {
  minio = await startMinio();
  proxy = await startFaultProxy(minio.endpoint);
});
afterAll(async () => {
  proxy?.close();
  await minio?.close();
});
beforeEach(() => {
  prefix = `faults/${views++}`;
  store = new S3ObjectStore(parseS3Uri(`s3://${BUCKET}/${prefix}?endpoint=${proxy.endpoint}`));
  proxy.seen.length = 0;
  proxy.fault = () => undefined;
});

const text = (value: string): Uint8Array => Buffer.from(value);
const large = (): Buffer => randomFillSync(Buffer.alloc(40_000_000));

async function keysOf(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  return keys;
}

/** The first requests that match fail. */
function failFirst(count: number, fault: Fault, matching: (request: IncomingMessage) => boolean = () => true): void {
  let left = count;
  proxy.fault = (request) => (matching(request) && left-- > 0 ? fault : undefined);
}

it.each(['slow down', 'cut'] as const)('every call succeeds after the first requests met with: %s', async (fault) => {
  const calls: Array<[string, () => Promise<unknown>, unknown]> = [
    ['put', () => store.put('k', text('x')), true],
    ['put ifAbsent', () => store.put('k', text('y'), { ifAbsent: true }), false],
    ['put ifMatch', () => store.put('k', text('z'), { ifMatch: text('x') }), true],
    ['get', async () => String(await store.get('k')), 'z'],
    ['size', () => store.size('k'), 1],
    ['list', async () => keysOf(''), ['k']],
    ['check', () => store.check(), undefined],
    ['append', () => store.append('log', text('line\n')), undefined],
    ['delete', () => store.delete('k'), undefined],
  ];
  for (const [name, call, result] of calls) {
    failFirst(3, fault);
    expect({ name, result: await call() }).toEqual({ name, result });
  }
  expect(proxy.seen.length).toBeGreaterThanOrEqual(calls.length * 4);
});

it('a hundred calls that are all told to slow down succeed', async () => {
  const keys = Array.from({ length: 100 }, (_, i) => `items/${i}`);
  failFirst(300, 'slow down');
  await Promise.all(keys.map((key) => store.put(key, text(key))));
  proxy.fault = () => undefined;
  const found = await Promise.all(keys.map(async (key) => String(await store.get(key))));
  expect(found).toEqual(keys);
});

it('gives up on a server that only asks to slow down, and says so', async () => {
  proxy.fault = () => 'slow down';
  const started = Date.now();
  const error: unknown = await store.get('k').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StorageUnavailable);
  expect((error as Error).message).toMatch(/asks to slow down/);
  expect(proxy.seen).toHaveLength(8);
  expect(Date.now() - started).toBeLessThan(53_000); // As docs/stores.md says.
});

it('a refusal is not tried again', async () => {
  proxy.fault = () => 'refuse';
  await expect(store.get('k')).rejects.toThrow('as the test wants');
  expect(proxy.seen).toHaveLength(1);
});

it('a download that is cut goes on where it was', async () => {
  const bytes = large();
  await store.put('large', bytes);
  failFirst(5, 'cut body', ({ method }) => method === 'GET');
  expect(Buffer.compare((await store.get('large'))!, bytes)).toBe(0);
  const parts: Uint8Array[] = [];
  failFirst(3, 'cut body');
  for await (const part of (await store.stream('large', { from: 1_000 }))!) parts.push(part);
  expect(Buffer.compare(Buffer.concat(parts), bytes.subarray(1_000))).toBe(0);
});

it('a write whose answer is lost has won all the same', async () => {
  const bytes = large();
  failFirst(1, 'cut after', ({ method }) => method === 'PUT');
  expect(await store.put('small', text('x'), { ifAbsent: true })).toBe(true);
  for (const options of [{ ifAbsent: true }, {}]) {
    failFirst(1, 'cut after', ({ method, url }) => method === 'POST' && /uploadId=/.test(url!));
    expect(await store.put('large', bytes, options)).toBe(true);
    expect(Buffer.compare((await store.get('large'))!, bytes)).toBe(0);
  }
  expect(await store.put('large', bytes, { ifAbsent: true })).toBe(false);
});

it('a part of a log is not written again after a write that had to be repeated: the first try may still arrive', async () => {
  await store.append('log', text('1\n'));
  await store.append('log', text('2\n'));
  failFirst(1, 'cut after');
  await store.append('log', text('3\n'));
  await store.append('log', text('4\n'));
  proxy.fault = () => 'refuse';
  await expect(store.append('log', text('5\n'))).rejects.toThrow(StorageUnavailable);
  proxy.fault = () => undefined;
  await store.append('log', text('6\n'));
  await store.append('log', text('7\n'));
  const parts = await Promise.all((await keysOf('log/')).map(async (key) => String(await store.get(key))));
  expect(parts).toEqual(['1\n2\n3\n', '4\n', '6\n7\n']);
});

it('an upload that is throttled and cut arrives whole; one of which a part is refused leaves nothing', async () => {
  const bytes = large();
  const isPart = ({ url }: IncomingMessage): boolean => /partNumber=2/.test(url!);
  for (const fault of ['slow down', 'cut'] as const) {
    failFirst(3, fault, isPart);
    await store.put(fault, bytes);
    expect(Buffer.compare((await store.get(fault))!, bytes)).toBe(0);
  }
  proxy.fault = (request) => (isPart(request) ? 'refuse' : undefined);
  await expect(store.put('refused', bytes)).rejects.toThrow(StorageUnavailable);
  expect(await store.has('refused')).toBe(false);
  expect(proxy.seen.filter((seen) => /partNumber=1/.test(seen))).not.toEqual([]);
  expect(await minio.uploads(`${prefix}/refused`)).toEqual([]);
});

it('a look at a run reads no record again that is as it was, and what a retry has written anew', async () => {
  const { manifest, records } = testRun(Array.from({ length: 3 }, () => ({ control: [[0, 0]] })));
  const run = new Store(store).run('r');
  await run.createManifest({ ...manifest, runId: 'r' });
  for (const record of records) await run.writeItem({ ...record, state: 'failed' });
  const reader = await StatusReader.open(null, { storeUri: store.uri, runId: 'r' });
  const look = async () => {
    proxy.seen.length = 0;
    const { failed, done } = (await reader.read()).items;
    return { failed, done, read: proxy.seen.filter((call) => /^GET .*\/items\/[0-9a-f]+\.json/.test(call)).length };
  };
  expect(await look()).toEqual({ failed: 3, done: 0, read: 3 });
  expect(await look()).toEqual({ failed: 3, done: 0, read: 0 });
  await run.writeItem({ ...records[1]!, state: 'unchanged' });
  expect(await look()).toEqual({ failed: 2, done: 1, read: 1 });
  expect(await look()).toEqual({ failed: 2, done: 1, read: 0 });
});
