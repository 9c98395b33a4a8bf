/** One of the embedded workers in a process of its own, forked with its options as one JSON argument. Ends with its parent, however that ends. */
import { NativeConnection } from '@temporalio/worker';
import { createWorker } from '../../workers/index.js';
import { tracing } from '../client/tracing.js';
import type { WorkerProcessOptions } from './supervised.js';
import { installTelemetry } from './telemetry.js';

const { address, ...options } = JSON.parse(process.argv[2]!) as WorkerProcessOptions;
process.on('disconnect', () => process.exit(0));
const traces = await tracing(installTelemetry({}));
const connection = await NativeConnection.connect({ address });
const worker = await createWorker({ connection, plugins: traces ? [traces.plugin] : [], ...options });
const run = worker.run();
process.send?.('ready');
await run;
await connection.close();
await traces?.flush();
process.exit(0);
