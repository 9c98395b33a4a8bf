#!/usr/bin/env node
/**
 * A MinIO server for tests and for trying `s3://` on one machine, without Docker running it:
 *
 *     node infra/minio.mjs [--data ./minio-data] [--port 9000]
 *
 * The binary is `minio` on PATH, else one of this project's cache: taken out of the Docker image where Docker works, else built with Go.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { cachedBinary, goInstall } from '../scripts/cached-binary.mjs';
import { run, step, StepError } from '../scripts/setup-step.mjs';
import { findOnPath } from '../scripts/temporal-cli.mjs';

/** Last version of the server that is open source (AGPL-3.0); it runs beside this program and is no part of it. */
const VERSION = 'v0.0.0-20260212201848-7aac2a2c5b7c';
const MODULE = `github.com/minio/minio@${VERSION}`;
const IMAGE = 'minio/minio:RELEASE.2025-09-07T16-13-09Z';

export const USER = 'refineloop';
export const PASSWORD = 'refineloop-secret';
export const BUCKET = 'refineloop';

/** Path of a MinIO server, which is fetched or built where there is none. @throws StepError with what to do */
export function findOrInstallMinio() {
  return cachedBinary('minio', VERSION, async (folder) => {
    const docker = findOnPath(['docker']);
    if (docker && (await fromImage(docker, folder))) return;
    await goInstall('MinIO, 2 to 6 minutes once', MODULE, folder);
  });
}

/** False: Docker does not work here, or has not the image. */
async function fromImage(docker, folder) {
  try {
    await run(docker, ['info']);
    const container = (await step(`MinIO (from ${IMAGE})`, () => run(docker, ['create', IMAGE]))).trim().split('\n').at(-1);
    await run(docker, ['cp', `${container}:/usr/bin/minio`, join(folder, 'minio')]);
    await run(docker, ['rm', container]);
    return true;
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    return false;
  }
}

/** Starts a server on the loopback interface, on a folder whose folders are its buckets, and waits until it answers. @throws StepError */
export async function startMinio({ data, port, stdio = 'inherit' }) {
  const binary = await findOrInstallMinio();
  mkdirSync(data, { recursive: true });
  const address = `127.0.0.1:${port}`;
  const env = { ...process.env, MINIO_ROOT_USER: USER, MINIO_ROOT_PASSWORD: PASSWORD };
  const args = ['server', '--quiet', '--address', address, '--console-address', '127.0.0.1:0', data];
  const server = spawn(binary, args, { env, stdio });
  const endpoint = `http://${address}`;
  for (let tries = 0; tries < 300; tries++) {
    // Before the question: another server may answer on a port that this one found taken.
    await sleep(100);
    if (server.exitCode !== null)
      throw new StepError(`failed: MinIO ended at once (exit code ${server.exitCode}); is port ${port} in use?`);
    const ready = await fetch(`${endpoint}/minio/health/ready`).then(
      (reply) => reply.ok,
      () => false,
    );
    if (ready) return { server, endpoint };
  }
  server.kill('SIGKILL');
  throw new StepError(`failed: MinIO does not answer on ${endpoint}`);
}

/** What a shell needs for a store in a bucket of this server. */
export function exportsFor(endpoint) {
  return [
    `export AWS_ACCESS_KEY_ID=${USER} AWS_SECRET_ACCESS_KEY=${PASSWORD}`,
    `export REFINELOOP_STORE="s3://${BUCKET}/runs?endpoint=${endpoint}"`,
  ];
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { data: { type: 'string', default: './minio-data' }, port: { type: 'string', default: '9000' } },
  });
  try {
    mkdirSync(join(values.data, BUCKET), { recursive: true });
    const { server, endpoint } = await startMinio(values);
    console.log([`MinIO  ${endpoint}, data in ${resolve(values.data)}`, ...exportsFor(endpoint)].join('\n'));
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill(signal));
    server.on('exit', (code) => (process.exitCode = code ?? 0));
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
