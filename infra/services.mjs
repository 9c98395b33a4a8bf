#!/usr/bin/env node
/**
 * What a cluster of workers needs, on one machine and without Docker: Temporal's development server with its UI, as the embedded commands
 * start it, and MinIO. Prints what to export and runs until Ctrl-C; started again on the same data, all goes on.
 *
 *     node infra/services.mjs [--data ./services-data] [--port 7233] [--ui-port 8233] [--minio-port 9000]
 */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { setup } from '../scripts/setup.mjs';
import { BUCKET, exportsFor, startMinio } from './minio.mjs';

const text = (value) => ({ type: 'string', default: value });
const values = readOptions({ data: text('./services-data'), port: text('7233'), 'ui-port': text('8233'), 'minio-port': text('9000') });
const data = resolve(values.data);

const stopping = [];
const stop = async () => {
  for (const step of stopping.splice(0).reverse()) await step();
};
const asked = new Promise((ask) => {
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ask());
});

try {
  await setup();
  const { startTemporalServer } = await import('../dist/app/embedded/temporal-server.js');
  const minioData = join(data, 'minio');
  mkdirSync(join(minioData, BUCKET), { recursive: true });
  const minio = await startMinio({ data: minioData, port: values['minio-port'], stdio: ['ignore', 'ignore', 'inherit'] });
  const minioEnded = once(minio.server, 'exit');
  stopping.push(async () => {
    minio.server.kill('SIGTERM');
    await minioEnded;
  });
  const temporal = await startTemporalServer({
    database: join(data, 'temporal.sqlite'),
    logFile: join(data, 'temporal.log'),
    port: Number(values.port),
    uiPort: Number(values['ui-port']),
  });
  stopping.push(temporal.stop);
  console.log(
    [
      `Temporal  ${temporal.address}, its UI ${temporal.ui}`,
      `MinIO     ${minio.endpoint}`,
      `data      ${data}`,
      '',
      `export TEMPORAL_ADDRESS=${temporal.address}`,
      ...exportsFor(minio.endpoint),
      '',
      'Ctrl-C stops both.',
    ].join('\n'),
  );
  const ended = await Promise.race([asked, minioEnded.then(() => 'MinIO'), temporal.ended.then(() => 'the Temporal server')]);
  if (ended) throw new Error(`${ended} has ended; its log is above or in ${data}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await stop();
}

function readOptions(options) {
  try {
    const { values } = parseArgs({ options });
    for (const [name, value] of Object.entries(values)) {
      if (name.endsWith('port') && !/^[0-9]{1,5}$/.test(value)) throw new Error(`--${name} takes a port, not ${JSON.stringify(value)}`);
    }
    return values;
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}
