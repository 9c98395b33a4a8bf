/** Temporal and MinIO for one machine: infra/services.mjs for real, infra/compose.yaml by what it says (no Docker is needed here). */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { jest } from '@jest/globals';
import getPort from 'get-port';
import { parse } from 'yaml';
import { serverArgs } from '../../app/embedded/temporal-server.js';
import { FAIR_QUEUES } from '../../core/queues.js';
import { openStore } from '../../engine/storage/index.js';
import { ROOT, scratch, startNode } from '../support/cli.js';
import { processesNaming } from '../support/processes.js';

// Building MinIO takes minutes, once on a machine.
jest.setTimeout(900_000);

const folder = scratch();

async function startServices() {
  const ports = { '--port': await getPort(), '--ui-port': await getPort(), '--minio-port': await getPort() };
  const options = Object.entries({ ...ports, '--data': folder }).flatMap(([name, value]) => [name, String(value)]);
  const services = startNode(['infra/services.mjs', ...options]);
  await services.saw('Ctrl-C stops both');
  const { stdout } = services.output();
  const exported = [...stdout.matchAll(/(?:export|(?<=export.*)) ([A-Z_]+)="?([^"\s]+)"?/g)].map(([, name, value]) => [name, value]);
  return { services, stdout, env: Object.fromEntries(exported) as Record<string, string> };
}

test('starts both, says how to use them, stops both on SIGTERM and keeps what was written', async () => {
  const first = await startServices();
  expect(Object.keys(first.env).sort()).toEqual(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'REFINELOOP_STORE', 'TEMPORAL_ADDRESS']);
  Object.assign(process.env, first.env);
  const store = await openStore(first.env['REFINELOOP_STORE']!);
  const { digest } = await store.putArtifact(Buffer.from('a picture'), 'image/png');
  expect(await store.artifacts.checkArtifact(digest)).toBe('intact');

  const connection = await Connection.connect({ address: first.env['TEMPORAL_ADDRESS'] });
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
  expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(['RefineRun', 'RefineGain']));
  await connection.close();
  expect((await fetch(/UI (\S+)/.exec(first.stdout)![1]!)).ok).toBe(true);
  expect(existsSync(join(folder, 'temporal.sqlite-wal'))).toBe(true);

  first.services.signal('SIGTERM');
  expect(await first.services.ended).toMatchObject({ code: 0 });
  expect(processesNaming(folder)).toEqual([]);

  const again = await startServices();
  const reopened = await openStore(again.env['REFINELOOP_STORE']!);
  expect(String(await reopened.getArtifact(digest))).toBe('a picture');
  again.services.signal('SIGTERM');
  expect(await again.services.ended).toMatchObject({ code: 0 });
});

test('ends, and leaves nothing, where a port is in use', async () => {
  const { services, env } = await startServices();
  const taken = env['TEMPORAL_ADDRESS']!.split(':')[1]!;
  const second = startNode([
    'infra/services.mjs',
    '--data',
    join(folder, 'second'),
    '--port',
    taken,
    '--minio-port',
    String(await getPort()),
  ]);
  const { code, stderr } = await second.ended;
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`port ${taken} is in use`) });
  expect(processesNaming(join(folder, 'second'))).toEqual([]);
  services.signal('SIGINT');
  expect(await services.ended).toMatchObject({ code: 0 });
  expect(processesNaming(folder)).toEqual([]);
});

test('compose.yaml starts the same servers', () => {
  interface Service {
    image: string;
    command?: string[];
    profiles?: string[];
    environment?: Record<string, string>;
    depends_on?: Record<string, unknown>;
  }
  const compose = parse(readFileSync(join(ROOT, 'infra/compose.yaml'), 'utf8')) as {
    services: Record<string, Service>;
    configs: Record<string, { content: string }>;
  };
  const { services, configs } = compose;
  expect(services['temporal']!.command).toEqual(serverArgs('/home/temporal/temporal.sqlite', 7233, 8233, '0.0.0.0'));
  const minio = readFileSync(join(ROOT, 'infra/minio.mjs'), 'utf8');
  for (const shared of [services['minio']!.image, ...Object.values(services['minio']!.environment!)])
    expect(minio).toContain(`'${shared}'`);
  const fair = Object.entries(parse(configs['fair-queues']!.content) as Record<string, Array<{ value: unknown }>>);
  expect(Object.fromEntries(fair.map(([name, [{ value } = { value: undefined }]]) => [name, value]))).toEqual(FAIR_QUEUES);
  const byDefault = Object.keys(services).filter((name) => !services[name]!.profiles);
  expect(byDefault).toEqual(['minio', 'temporal']);
  for (const { depends_on = {} } of Object.values(services))
    expect(Object.keys(services)).toEqual(expect.arrayContaining(Object.keys(depends_on)));
});
