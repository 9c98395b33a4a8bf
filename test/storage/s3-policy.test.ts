/** The rights that docs/stores.md asks for are enough for everything that a store does, and for nothing outside of its prefix. */
import { readFileSync } from 'node:fs';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { jest } from '@jest/globals';
import { S3ObjectStore } from '../../engine/storage/s3-object-store.js';
import { parseS3Uri } from '../../engine/storage/s3-uri.js';
import { BUCKET, startMinio, type Minio } from '../support/minio.js';
import { objectStoreBattery, type OpenedStore } from './object-store-battery.js';

// Building MinIO takes minutes, once on a machine.
jest.setTimeout(900_000);

const PREFIX = 'team/runs';
const KEYS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;

let minio: Minio;
let views = 0;
beforeAll(async () => void (minio = await startMinio()));
afterEach(() => delete process.env['AWS_SESSION_TOKEN']);
afterAll(() => minio?.close());

function documentedPolicy(): string {
  const [, policy] = /^```json\n(\{\n {2}"Version".*?)^```/ms.exec(readFileSync('docs/stores.md', 'utf8'))!;
  return policy!.replaceAll('BUCKET', BUCKET).replaceAll('PREFIX', PREFIX);
}

/** Keys of a session that has these rights and no more: MinIO makes one of its root user's. */
async function sessionWith(policy: string): Promise<Record<(typeof KEYS)[number], string>> {
  const sts = new STSClient({ endpoint: minio.endpoint, region: 'us-east-1' });
  const role = { RoleArn: 'arn:aws:iam::000000000000:role/store', RoleSessionName: 'store' };
  const { Credentials } = await sts.send(new AssumeRoleCommand({ ...role, Policy: policy }));
  sts.destroy();
  const { AccessKeyId, SecretAccessKey, SessionToken } = Credentials!;
  return { AWS_ACCESS_KEY_ID: AccessKeyId!, AWS_SECRET_ACCESS_KEY: SecretAccessKey!, AWS_SESSION_TOKEN: SessionToken! };
}

const store = (prefix: string): S3ObjectStore => new S3ObjectStore(parseS3Uri(minio.uri(prefix)));

/** Does something with these keys in the environment, from which the store takes them. */
async function withKeys<T>(keys: Record<string, string>, action: () => Promise<T>): Promise<T> {
  const own = KEYS.map((key) => [key, process.env[key]] as const);
  Object.assign(process.env, keys);
  try {
    return await action();
  } finally {
    for (const [key, value] of own) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
  }
}

/** A store whose every call has these keys: the SDK reads them at the first one. */
async function storeOf(keys: Record<string, string>, prefix: string): Promise<S3ObjectStore> {
  const own = store(prefix);
  await withKeys(keys, () => own.check().catch(() => undefined));
  return own;
}

objectStoreBattery('s3: with the documented rights', async (): Promise<OpenedStore> => {
  const keys = await sessionWith(documentedPolicy());
  const prefix = `${PREFIX}/view/${views++}`;
  const leftovers = (key: string) => minio.uploads(`${prefix}/${key}`);
  return { a: await storeOf(keys, prefix), b: await storeOf(keys, prefix), leftovers, close: () => Promise.resolve() };
});

test.each(['other', 'team/runs-of-others', 'team', ''])('the documented rights give nothing of %p', async (prefix) => {
  await store(prefix).put('k', Buffer.from('secret'));
  const limited = await storeOf(await sessionWith(documentedPolicy()), prefix);
  const calls = {
    check: () => limited.check(),
    get: () => limited.get('k'),
    stream: () => limited.stream('k'),
    size: () => limited.size('k'),
    put: () => limited.put('k', Buffer.from('x')),
    large: () => limited.put('k', Buffer.alloc(20_000_000)),
    delete: () => limited.delete('k'),
    folders: () => limited.listFolders(''),
  };
  for (const [name, call] of Object.entries(calls)) {
    const outcome = await call().then(
      () => 'done',
      (error: Error) => error.message,
    );
    expect({ name, outcome }).toEqual({ name, outcome: expect.stringContaining('access is denied') });
  }
  expect(String(await store(prefix).get('k'))).toBe('secret');
});

test('without the right to abort, a lost race leaves its parts', async () => {
  const policy = documentedPolicy().replace(', "s3:AbortMultipartUpload"', '');
  expect(policy).not.toContain('Abort');
  const prefix = `${PREFIX}/parts`;
  const limited = await storeOf(await sessionWith(policy), prefix);
  await store(prefix).put('k', Buffer.from('there'));
  expect(await limited.put('k', Buffer.alloc(20_000_000), { ifAbsent: true })).toBe(false);
  expect(await minio.uploads(`${prefix}/k`)).toHaveLength(1);
});
