/** A worker with the plugin on a queue of any name. Arguments: address, role, queue. */
import { NativeConnection, Worker } from '@temporalio/worker';
import { RefineLoopPlugin } from 'refineloop/plugin';

const [address, role, taskQueue] = process.argv.slice(2);
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({ connection, taskQueue, plugins: [new RefineLoopPlugin({ role })] });
console.log(`worker on ${taskQueue}`);
await worker.run();
await connection.close();
