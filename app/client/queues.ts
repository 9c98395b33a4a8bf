import type { Client } from '@temporalio/client';
import protobuf from '@temporalio/proto';
import { TASK_QUEUES } from '../../core/queues.js';

const { TaskQueueType } = protobuf.temporal.api.enums.v1;

/** Queues that no worker polls, so that steps on them wait. A worker that was killed counts for some minutes more. */
export async function queuesWithoutWorker(client: Client): Promise<string[]> {
  const { workflowService } = client.connection;
  const described = await Promise.all(
    Object.values(TASK_QUEUES).map(async (name) => {
      const answer = await workflowService.describeTaskQueue({
        namespace: client.options.namespace,
        taskQueue: { name },
        taskQueueType: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
      });
      return { name, pollers: answer.pollers?.length ?? 0 };
    }),
  );
  return described.filter(({ pollers }) => pollers === 0).map(({ name }) => name);
}

/** What to do about them; `null` where every queue has a worker. */
export function workerAdvice(queues: string[]): string | null {
  if (queues.length === 0) return null;
  return `no worker polls ${queues.map((name) => `\`${name}\``).join(', ')}: start ${queues.map((name) => `\`refineloop worker --queue ${name}\``).join(', ')}`;
}
