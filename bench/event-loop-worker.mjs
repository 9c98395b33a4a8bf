/** Workers of event-loop.mjs. `host`: a gpu worker as it ships. `inline`: one that runs the same models in its own process. `others`: the rest. Says its longest delay when it is stopped. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { ActivityServices, createActivities } from '../dist/activities/index.js';
import { TASK_QUEUES } from '../dist/core/queues.js';
import { Encoder } from '../dist/engine/inference/encoders.js';
import { TextToImage } from '../dist/engine/inference/pipelines/text-to-image.js';
import { Sessions } from '../dist/engine/inference/sessions.js';
import { createWorker } from '../dist/workers/index.js';

const [kind, address] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
const connection = await NativeConnection.connect({ address });
const common = { connection, namespace: 'default' };
const workers =
  kind === 'inline'
    ? [await inline()]
    : await Promise.all((kind === 'host' ? ['gpu'] : ['orchestrator', 'cpu']).map((role) => createWorker({ ...common, role })));
const running = workers.map((worker) => worker.run());
const delay = monitorEventLoopDelay({ resolution: 10 });
process.send('ready');
delay.enable();
await new Promise((resolve) => process.once('message', resolve).once('disconnect', resolve));
delay.disable();
process.send({ delayMs: delay.max / 1e6 });
workers.forEach((worker) => worker.shutdown());
await Promise.all(running);
await connection.close();
process.exit(0);

/** As workers/create-worker.ts makes one, but for the host. */
function inline() {
  const sessions = new Sessions({ provider: 'cpu', device: 0 });
  const host = {
    device: 'cpu:0',
    provider: 'cpu',
    generate: async ({ model, ...request }, { signal, onProgress }) =>
      (await TextToImage.load(model, sessions)).generate(request, { signal, onStep: onProgress }),
    embedImage: async ({ model, image }) => (await (await Encoder.load(model, sessions)).embedImages([image], 'exact'))[0],
    embedText: async ({ model, text }) => (await (await Encoder.load(model, sessions)).embedTexts([text], 'exact'))[0],
    close: async () => undefined,
  };
  const activities = createActivities(new ActivityServices({ worker: `inline-${process.pid}`, host }));
  const heartbeats = { maxHeartbeatThrottleInterval: '3 seconds', defaultHeartbeatThrottleInterval: '3 seconds' };
  return Worker.create({ ...common, taskQueue: TASK_QUEUES.gpu, activities, maxConcurrentActivityTaskExecutions: 2, ...heartbeats });
}
