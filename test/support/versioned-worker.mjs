/** An orchestrator of a version of its own. Arguments: address, build id, workflow bundle. */
import { NativeConnection, Worker } from '@temporalio/worker';
import { RefineLoopPlugin } from 'refineloop/plugin';

const [address, buildId, codePath] = process.argv.slice(2);
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({
  connection,
  taskQueue: 'orchestrator',
  workflowBundle: { codePath },
  plugins: [new RefineLoopPlugin({ role: 'orchestrator' })],
  workerDeploymentOptions: {
    version: { deploymentName: 'refineloop', buildId },
    useWorkerVersioning: true,
    defaultVersioningBehavior: 'PINNED',
  },
});
console.log(`worker of version ${buildId}`);
await worker.run();
await connection.close();
