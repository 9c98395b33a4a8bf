import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';

/** Workflows of a run that came first, and of one that came after; how many are taken before it is decided. */
const [MANY, FEW, TAKEN] = [40, 4, 20];
const POLL_MS = 3_000;

/**
 * Whether a server serves runs that share a queue in turn: no API tells, so it is tried with workflows on a queue of its own, which are deleted again.
 * In turn, most of the few are among the first that are taken; else they come after the many.
 */
export async function servesInTurn(client: Client): Promise<boolean> {
  const taskQueue = `refineloop-doctor-${randomUUID()}`;
  const { workflowService } = client.connection;
  const { namespace } = client.options;
  const started: string[] = [];
  const start = async (fairnessKey: string, n: number) => {
    const workflowId = `${taskQueue}/${fairnessKey}/${n}`;
    await client.workflow.start('nothing', { workflowId, taskQueue, priority: { fairnessKey }, workflowExecutionTimeout: '1 minute' });
    started.push(workflowId);
  };
  try {
    for (let n = 0; n < MANY; n++) await start('many', n);
    for (let n = 0; n < FEW; n++) await start('few', n);
    let few = 0;
    for (let n = 0; n < TAKEN; n++) {
      const poll = () =>
        workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity: 'refineloop doctor' });
      const { workflowExecution } = await client.connection.withDeadline(Date.now() + POLL_MS, poll);
      if (workflowExecution?.workflowId?.includes('/few/')) few += 1;
    }
    return few > FEW / 2;
  } finally {
    await Promise.all(
      started.map(async (workflowId) => {
        const gone = async (ask: () => Promise<unknown>) => void (await ask().catch(() => undefined));
        await gone(() => client.workflow.getHandle(workflowId).terminate('tried whether the queue is fair'));
        await gone(() => workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId } }));
      }),
    );
  }
}
