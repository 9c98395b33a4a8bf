/**
 * What an item leaves in a bucket, and what a first look at the run costs: a null-model run (null-runs.mjs) on a MinIO of its own.
 *
 *   node scripts/build.mjs && node bench/s3-objects.mjs [--items 200] [--window 8]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client, CreateBucketCommand, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import getPort from 'get-port';
import { getStatus } from '../dist/app/client/status.js';
import { BUCKET, PASSWORD, startMinio, USER } from '../infra/minio.mjs';
import { cpuSeconds, describeMachine, fixed, load, numberOptions } from './measure.mjs';
import { prepareNullRun, recordsOf, SIDES, startNullServer, startNullWorker, writeDataset } from './null-runs.mjs';

const asked = numberOptions({ items: 200, window: 8 });
const RUN = 's3-objects';

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
Object.assign(process.env, { AWS_ACCESS_KEY_ID: USER, AWS_SECRET_ACCESS_KEY: PASSWORD });
const { server: minio, endpoint } = await startMinio({ data: join(folder, 'minio'), port: await getPort(), stdio: 'ignore' });
const s3 = new S3Client({ endpoint, forcePathStyle: true, region: 'us-east-1' });
await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
const server = await startNullServer(folder);
const worker = await startNullWorker(server.address, 'refine');
try {
  const dataset = await writeDataset(folder, asked.items);
  const prepared = await prepareNullRun(folder, RUN, dataset, `s3://${BUCKET}?endpoint=${endpoint}`);
  const began = performance.now();
  const cpuOf = () => cpuSeconds(worker.pid) + cpuSeconds(minio.pid);
  const cpu = cpuOf();
  await (
    await SIDES.refine.start(server.client, prepared, asked.window)
  )();
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${asked.items} items, window ${asked.window}: ${fixed(asked.items / seconds, 1)} items/s, CPU an item ` +
      `${fixed(((cpuOf() - cpu) / asked.items) * 1000, 1)} ms of worker and MinIO; load ${load()}`,
  );
  await recordsOf(prepared);
  for (const prefix of ['blobs/', 'steps/', `runs/${RUN}/items/`, `runs/${RUN}/ledger/`]) {
    const { objects, bytes } = await below(prefix);
    console.log(
      `  ${prefix}: ${objects} objects, ${fixed(objects / asked.items)} an item; ${fixed(bytes / asked.items / 1000, 1)} KB an item`,
    );
  }
  const looked = performance.now();
  const { steps } = await getStatus(null, { storeUri: prepared.storeUri, runId: RUN });
  console.log(`  a first look: ${fixed(performance.now() - looked, 0)} ms; steps ${JSON.stringify(steps)}`);
} finally {
  await worker.stop();
  await server.stop();
  s3.destroy();
  minio.kill();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function below(prefix) {
  let [objects, bytes] = [0, 0];
  for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket: BUCKET, Prefix: prefix })) {
    objects += Contents.length;
    bytes += Contents.reduce((sum, { Size }) => sum + Size, 0);
  }
  return { objects, bytes };
}
