/** What can be seen of workers from outside: metrics that Prometheus would read, logs that a machine would, traces. */
import { jest } from '@jest/globals';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import getPort from 'get-port';
import { cli, cliJson, ROOT, scratch, startCli, startNode, type RunningCli } from '../support/cli.js';
import { startChatServer, type ChatServer } from '../support/chat-server.js';
import { Cluster } from '../support/cluster.js';
import { workflowIds } from '../support/histories.js';
import { until } from '../support/processes.js';
import { completed, readLedger, type LedgerRow, type RunDocument } from '../support/runs.js';
import { CONTROL, CREATURES, WRITTEN, writeRecipe } from '../support/small-recipe.js';
import { startTraceReceiver, type Span } from '../support/trace-receiver.js';

jest.setTimeout(240_000);

const folder = scratch();
const store = join(folder, 'store');
const ROLES = ['orchestrator', 'cpu', 'gpu'] as const;
let chat: ChatServer;
let receiver: Awaited<ReturnType<typeof startTraceReceiver>>;
let cluster: Cluster;
let workers: RunningCli[];
let ledger: LedgerRow[];
/** By role, once the run is over. */
let scraped: Sample[][];

/** One line of what Prometheus reads. */
interface Sample {
  name: string;
  tags: Record<string, string>;
  value: number;
}

async function scrape(port: number): Promise<Sample[]> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name, tags = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!;
    return {
      name: name!,
      tags: Object.fromEntries([...tags.matchAll(/(\w+)="([^"]*)"/g)].map(([, tag, v]) => [tag!, v!])),
      value: Number(value),
    };
  });
}

/** Sum over all workers of the samples that have these tags. */
function sum(name: string, tags: Record<string, string> = {}): number {
  const fits = (sample: Sample) => sample.name === name && Object.entries(tags).every(([tag, value]) => sample.tags[tag] === value);
  return scraped
    .flat()
    .filter(fits)
    .reduce((total, { value }) => total + value, 0);
}

/** A run with a critic that costs money and, for one item, answers nothing. */
beforeAll(async () => {
  [chat, receiver, cluster] = await Promise.all([startChatServer(), startTraceReceiver(), Cluster.start()]);
  const dataset = join(folder, 'data');
  mkdirSync(dataset);
  const rows = ['plain', 'refusing'].map((text, i) => {
    const name = `creature-${String(601 + i).padStart(4, '0')}.png`;
    copyFileSync(join(CREATURES, 'test', name), join(dataset, name));
    return JSON.stringify({ file_name: name, id: text, text, feedback: 'It is rounder.' });
  });
  writeFileSync(join(dataset, 'metadata.jsonl'), rows.join('\n'));
  const feedback = { source: 'chat', base_url: chat.url, model: 'eyes', price: { input: 1, output: 10 } };
  const recipe = writeRecipe(folder, { arms: [CONTROL, WRITTEN, { name: 'vlm', feedback }], dataset: { uri: dataset } });
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
  const ports = await Promise.all(ROLES.map(() => getPort()));
  workers = ROLES.map((role, i) =>
    startCli(['worker', '--queue', role, '--address', cluster.address, '--metrics', `127.0.0.1:${ports[i]}`], {
      env: { ...traced, OPENAI_API_KEY: 'a-key', REFINELOOP_LOG_FORMAT: 'json' },
    }),
  );
  await Promise.all(workers.map((worker, i) => worker.saw(`worker on queue ${ROLES[i]}`)));
  const env = { ...traced, OTEL_SERVICE_NAME: 'the-client' };
  await cliJson<RunDocument>(['run', recipe, '--run', 'seen', '--store', store, '--address', cluster.address], 3, { env });
  ledger = await readLedger(store, 'seen', true);
  scraped = await Promise.all(ports.map(scrape));
  // The same again: its records are found.
  await cliJson<RunDocument>(['run', recipe, '--run', 'again', '--store', store, '--address', cluster.address], 3);
  const again = await readLedger(store, 'again', true);
  const before = sum('refineloop_steps_total', { status: 'recorded' });
  scraped = await Promise.all(ports.map(scrape));
  expect(sum('refineloop_steps_total', { status: 'recorded' }) - before).toBe(again.filter(({ status }) => status === 'recorded').length);
  ledger.push(...again);
}, 240_000);

afterAll(async () => {
  await cluster.stop();
  await Promise.all([chat.close(), receiver.close()]);
});

test('metrics count what the ledger says', () => {
  const steps = (step: string, status: string) => ledger.filter((row) => row.step === step && row.status === status).length;
  for (const step of ['generate', 'embed', 'feedback', 'score'])
    for (const status of ['completed', 'failed', 'recorded', 'cancelled', 'unknown'])
      expect([step, status, sum('refineloop_steps_total', { step, status })]).toEqual([step, status, steps(step, status)]);
  const images = completed(ledger).filter(({ step }) => step === 'generate');
  expect(sum('refineloop_images_total')).toBe(images.length);
  expect(sum('refineloop_images_total', { source: 'round0' })).toBe(images.filter(({ arm }) => arm === null).length);
  expect(sum('refineloop_steps_total', { source: 'chat', step: 'feedback' })).toBe(
    ledger.filter(({ arm, step }) => arm === 'vlm' && step === 'feedback').length,
  );
  const usd = ledger.reduce((total, row) => total + (row.usd ?? 0), 0);
  expect(usd).toBeGreaterThan(0);
  expect(sum('refineloop_cost_usd_sum')).toBeCloseTo(usd, 9);
});

test('metrics say how long steps took, waited and had a device, and how they failed', () => {
  const seconds = ledger.reduce((total, row) => total + (row.seconds ?? 0), 0);
  expect(sum('refineloop_step_seconds_sum')).toBeCloseTo(seconds, 6);
  const busy = sum('refineloop_device_busy_seconds_sum', { device: 'cpu:0' });
  const onDevice = ledger.filter(({ device }) => device === 'cpu:0').reduce((total, row) => total + (row.seconds ?? 0), 0);
  expect(busy).toBeGreaterThan(0.5 * onDevice);
  expect(busy).toBeLessThanOrEqual(onDevice);
  expect(sum('refineloop_queue_wait_seconds_count', { step: 'generate' })).toBe(sum('refineloop_images_total'));
  // A model that refuses is drawn again twice, in both runs; so many attempts failed.
  expect(sum('refineloop_failures_total', { step: 'feedback', type: 'ModelOutputInvalid' })).toBe(6);
  expect(sum('refineloop_items_open', { run: 'seen' })).toBe(0);
});

test("the same address serves the SDK's own metrics", () => {
  expect(sum('temporal_activity_execution_failed_total', { activity_type: 'writeFeedback' })).toBe(6);
  expect(sum('temporal_workflow_endtoend_latency_seconds_count', { workflow_type: 'refineItem' })).toBe(4);
});

test('every metric and tag that the dashboard asks for is served', () => {
  const dashboard = JSON.parse(readFileSync(join(ROOT, 'infra/grafana/refineloop.json'), 'utf8')) as {
    panels: Array<{ title: string; targets: Array<{ expr: string }> }>;
  };
  const asked = dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));
  expect(asked.length).toBeGreaterThanOrEqual(dashboard.panels.length);
  for (const { title, expr } of asked) {
    const names: string[] = expr.match(/\b(refineloop|temporal)_\w+/g) ?? [];
    const served = scraped.flat().filter(({ name }) => names.includes(name));
    expect([title, [...new Set(served.map(({ name }) => name))]]).toEqual([title, [...new Set(names)]]);
    // `instance` is Prometheus's own, the worker's address.
    const tags = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(', ')).filter((tag) => tag !== 'instance');
    for (const tag of tags) expect([title, tag, served.some((sample) => tag in sample.tags)]).toEqual([title, tag, true]);
  }
});

interface Line {
  time: string;
  level: string;
  message: string;
  [field: string]: unknown;
}

test('with `--log-format json` every line is an object, and that of a failed step says where it stands and its typed error', () => {
  const lines = workers.flatMap((worker) => {
    expect(worker.output().stdout).toBe('');
    return worker
      .output()
      .stderr.trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  });
  for (const line of lines) {
    expect(line).toMatchObject({ level: expect.stringMatching(/^(info|warn|error)$/), message: expect.any(String) });
    expect(new Date(line.time).toISOString()).toBe(line.time);
  }
  const failed = lines.filter((line) => line.step === 'feedback' && line.run === 'seen');
  expect(failed).toHaveLength(3);
  expect(failed[0]).toMatchObject({
    level: 'warn',
    item: 'refusing',
    arm: 'vlm',
    round: 1,
    attempt: 1,
    worker: expect.stringMatching(/-cpu$/),
    device: 'cpu',
    trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    error: { type: 'ModelOutputInvalid', message: expect.stringContaining('I cannot help with that.') },
  });
  expect(lines.find((line) => line.message === 'Workflow failed')).toMatchObject({
    run: 'seen',
    workflowType: 'refineItem',
    error: { message: expect.stringContaining('I cannot help with that.') },
  });
});

test('one trace goes from the run to each attempt of each step, over processes, and says where each stands', async () => {
  workers.forEach((worker) => worker.signal('SIGTERM'));
  expect((await Promise.all(workers.map(({ ended }) => ended))).map(({ code }) => code)).toEqual([0, 0, 0]);
  const { spans } = receiver;
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const way = (span: Span | undefined): string[] => (span ? [...way(byId.get(span.parentSpanId ?? '')), span.name] : []);
  const toItem = [
    'StartWorkflow:refineDataset',
    'RunWorkflow:refineDataset',
    'StartChildWorkflow:refinePartition',
    'RunWorkflow:refinePartition',
    'StartChildWorkflow:refineItem',
    'RunWorkflow:refineItem',
  ];
  const started = spans.filter(({ service }) => service === 'the-client');
  expect(started.map(({ name }) => name)).toEqual(['StartWorkflow:refineDataset']);
  const { traceId } = started[0]!;

  // Each is one attempt; `embed` has one for several rows of the ledger, and what is local is traced as well.
  const generated = spans.filter((span) => span.name === 'RunActivity:generateImage' && span.traceId === traceId);
  const images = completed(ledger).filter(({ step }) => step === 'generate');
  expect(generated).toHaveLength(images.length);
  for (const span of generated) expect(way(span)).toEqual([...toItem, 'StartActivity:generateImage', 'RunActivity:generateImage']);
  const of = (attributes: Record<string, unknown>) => [attributes['refineloop.item'], attributes['refineloop.arm'] ?? null];
  expect(new Set(generated.map(({ attributes }) => of(attributes).join()))).toEqual(
    new Set(images.map(({ item, arm }) => [item, arm].join())),
  );
  const refused = spans.filter((span) => span.traceId === traceId && span.attributes['error.type'] === 'ModelOutputInvalid');
  expect(refused).toHaveLength(3);
  expect(refused[0]!.attributes).toMatchObject({
    'refineloop.run': 'seen',
    'refineloop.item': 'refusing',
    'refineloop.step': 'feedback',
    'refineloop.arm': 'vlm',
    'refineloop.round': 1,
    'refineloop.attempt': 1,
    'refineloop.device': 'cpu',
  });
  const items = spans.filter((span) => span.name === 'RunWorkflow:refineItem' && span.traceId === traceId);
  expect(items.map(({ attributes }) => [attributes['refineloop.run'], attributes['refineloop.item']]).sort()).toEqual([
    ['seen', 'plain'],
    ['seen', 'refusing'],
  ]);
  expect(items[0]!.attributes).not.toHaveProperty('searchAttributes');
});

test('what was traced replays where nothing is', async () => {
  const ids = await workflowIds(store, 'seen');
  expect(ids).toHaveLength(4);
  const histories = ids.map(async (workflowId) => ({
    workflowId,
    history: await cluster.client.workflow.getHandle(workflowId).fetchHistory(),
  }));
  const workflowBundle = { codePath: join(ROOT, 'dist/workflow-bundle.js') };
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, await Promise.all(histories)))
    expect([workflowId, error]).toEqual([workflowId, undefined]);
});

test('where no collector is named, nothing of OpenTelemetry is loaded but its interface', async () => {
  const code = `
    import { createRequire } from 'node:module';
    const { tracing } = await import('./dist/app/client/tracing.js');
    await import('./dist/workers/index.js');
    const traces = await tracing();
    const loaded = Object.keys(createRequire(process.cwd() + '/x.js').cache).filter((file) => /opentelemetry/.test(file));
    console.log(JSON.stringify({ on: traces !== null, packages: [...new Set(loaded.map((file) => file.match(/opentelemetry\\/([^/]+)/)[1]))] }));`;
  const loaded = async (env: Record<string, string>) => {
    const { stdout } = await startNode(['--input-type=module', '-e', code], { env }).ended;
    return JSON.parse(stdout) as { on: boolean; packages: string[] };
  };
  expect(await loaded({})).toEqual({ on: false, packages: ['api'] });
  expect(await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SDK_DISABLED: 'true' })).toEqual({ on: false, packages: ['api'] });
  const on = await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  expect(on).toEqual({ on: true, packages: expect.arrayContaining(['api', 'exporter-trace-otlp-proto', 'sdk-trace-base']) });
});

test('an address that is no address, or is taken, is said', async () => {
  const bad = await cli(['worker', '--queue', 'cpu', '--address', cluster.address, '--metrics', 'nowhere']);
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('such as 127.0.0.1:9464') });
  const taken = chat.url.match(/127\.0\.0\.1:\d+/)![0];
  const refused = await cli(['worker', '--queue', 'cpu', '--address', cluster.address, '--metrics', taken]);
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining(`metrics cannot be served on ${taken}`) });
});

test('`dev` has both for all of its workers, and ends on request', async () => {
  const port = await getPort();
  const dev = startCli(['dev', '--store', join(folder, 'dev'), '--json', '--log-format', 'json'], {
    env: { REFINELOOP_METRICS: `localhost:${port}` },
  });
  await dev.saw('"address"');
  await until('its workers poll', async () => (await scrape(port)).some(({ name }) => name.startsWith('temporal_num_pollers')));
  dev.signal('SIGINT');
  const { code, stderr } = await dev.ended;
  expect(code).toBe(0);
  const messages = stderr
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as Line).message);
  expect(messages).toContain('stopping …');
});
