/** Somebody else's worker that installs the plugin, as its documentation says. Arguments: address, `path` or `bundle`. */
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, NativeConnection, Worker } from '@temporalio/worker';
import { RefineLoopPlugin } from 'refineloop/plugin';

const [address, variant] = process.argv.slice(2);
const workflowsPath = fileURLToPath(new URL('./user-workflows.js', import.meta.url));
const plugins = [new RefineLoopPlugin({ role: 'orchestrator' })];
const workflows = variant === 'bundle' ? { workflowBundle: await bundleWorkflowCode({ workflowsPath, plugins }) } : { workflowsPath };

const connection = await NativeConnection.connect({ address });
const activities = { greet: async (name) => `Hello, ${name}!` };
const worker = await Worker.create({ connection, taskQueue: 'orchestrator', activities, plugins, ...workflows });
console.log(`worker with ${variant}`);
await worker.run();
await connection.close();
