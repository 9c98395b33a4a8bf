/** A real MinIO on the loopback interface, with a folder of its own. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import getPort from 'get-port';
import { PASSWORD, startMinio as startServer, USER } from '../../infra/minio.mjs';

export const BUCKET = 'pictures';

export interface Minio {
  endpoint: string;
  /** URI of a store below a prefix. */
  uri(prefix: string): string;
  /** Ids of unfinished uploads of one key; MinIO lists them by the whole key only. */
  uploads(key: string): Promise<string[]>;
  /** SIGKILL; what was answered is on the disk. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a server with an empty bucket, and gives this process and its children the keys to it. */
export async function startMinio(): Promise<Minio> {
  const folder = mkdtempSync(join(tmpdir(), 'refineloop-minio-'));
  const port = await getPort();
  const endpoint = `http://127.0.0.1:${port}`;
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: USER, AWS_SECRET_ACCESS_KEY: PASSWORD });
  let server: ChildProcess | undefined;
  const start = async () => void ({ server } = await startServer({ data: folder, port, stdio: 'ignore' }));
  const kill = async () => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  };
  await start();
  const client = new S3Client({ endpoint, forcePathStyle: true, region: 'us-east-1' });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return {
    endpoint,
    uri: (prefix) => `s3://${BUCKET}/${prefix}?endpoint=${endpoint}`,
    uploads: async (key) => {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: key }));
      return Uploads.map(({ UploadId }) => UploadId!);
    },
    kill,
    start,
    close: async () => {
      client.destroy();
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
