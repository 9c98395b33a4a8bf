/**
 * Workers of the null-model benchmark, in a process of their own so that their CPU time can be read. `refine`: the product's
 * workflows, activities and queues over a host that answers at once. `bare`: {@link file://./bare-workflows.mjs}.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, DefaultLogger, Worker, bundleWorkflowCode } from '@temporalio/worker';
import { ActivityServices, createActivities } from '../dist/activities/index.js';
import { boundHeapGrowth } from '../dist/workers/heap.js';

const { kind, address, taskQueues } = JSON.parse(process.argv[2]);
boundHeapGrowth();
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
const connection = await NativeConnection.connect({ address });
/** As workers/create-worker.ts has them. */
const SLOTS = { maxConcurrentActivityTaskExecutions: 40, maxConcurrentWorkflowTaskExecutions: 40, maxCachedWorkflows: 500 };

const workers = kind === 'refine' ? await refineWorkers() : await bareWorkers();
const running = workers.map((worker) => worker.run());
process.send('ready');
await new Promise((resolve) => process.once('message', resolve).once('disconnect', resolve)); // Told to stop, or left alone.
workers.forEach((worker) => worker.shutdown());
await Promise.all(running);
await connection.close();
process.exit(0);

function refineWorkers() {
  return workersOn({ workflowBundle: { codePath: fileURLToPath(new URL('../dist/workflow-bundle.js', import.meta.url)) } });
}

/** The same activities behind the plain workflows of the comparison. */
async function bareWorkers() {
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('./bare-workflows.mjs', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  return workersOn({ workflowBundle });
}

/** The workflows' worker on the first queue, workers for steps on the others. */
function workersOn({ workflowBundle }) {
  const services = new ActivityServices({ worker: `null-${process.pid}`, host: nullHost() });
  const activities = { ...createActivities(services), listItems: (input) => listItems(services, input) };
  const [workflows, ...others] = taskQueues;
  return Promise.all([
    Worker.create({ connection, taskQueue: workflows, workflowBundle, activities, ...SLOTS }),
    ...others.map((taskQueue) => Worker.create({ connection, taskQueue, activities, maxConcurrentActivityTaskExecutions: 4 })),
  ]);
}

/** What the plain parent's children are given. */
async function listItems(services, { run, from, count }) {
  const items = await (await services.openRun(run)).files.readIndexRange(from, count);
  return items.map(({ offset, id, key, caption, trueImage }) => ({
    item: { run, offset, id, key },
    caption: { text: caption },
    trueImage,
  }));
}

/** Answers at once, and differently for each request: equal pictures would be one artifact, and their steps would be recorded. */
function nullHost() {
  const bytesOf = (value) => createHash('sha256').update(value).digest();
  const vector = (value) => Float32Array.from(bytesOf(value), (byte) => byte / 255);
  return {
    device: 'cpu:0',
    provider: 'cpu',
    generate: async (request) => ({ png: bytesOf(JSON.stringify(request)), width: 8, height: 8, tokens: { used: 9, cut: 0 }, seconds: 0 }),
    embedImage: async ({ image, model }) => vector(Buffer.concat([Buffer.from(model), image])),
    embedText: async ({ text, model }) => vector(`${model}\n${text}`),
    close: async () => undefined,
  };
}
