import type { Client } from '@temporalio/client';
import protobuf from '@temporalio/proto';
import { DEVICE_ROLES, QUEUES_OF, TASK_QUEUES, roleQueue, type DeviceRole } from '../../core/queues.js';
import { EXECUTION_PROVIDERS } from '../../core/recipe.js';

const { TaskQueueType } = protobuf.temporal.api.enums.v1;

/** Queues of a run, or of a training, that no worker polls, so that steps on them wait. A worker that was killed counts for some minutes more. */
export async function queuesWithoutWorker(client: Client, of: keyof typeof QUEUES_OF = 'run'): Promise<string[]> {
  const names = QUEUES_OF[of];
  const pollers = await Promise.all(names.map((name) => pollersOf(client, name)));
  return names.filter((_, i) => pollers[i]!.length === 0);
}

export interface GpuWorker {
  /** Its name, process and machine; of a worker that was given another identity, that one. */
  identity: string;
  roles: DeviceRole[];
}

/** A poll lasts a minute at most. */
const POLLED_WITHIN_MS = 90_000;

/** Workers that have polled the shared queue for models of late. One that was killed just now is still among them. */
export async function gpuWorkers(client: Client): Promise<GpuWorker[]> {
  const recent = async (queues: string[]) => {
    const pollers = (await Promise.all(queues.map((name) => pollersOf(client, name)))).flat();
    const late = pollers.filter(({ lastAccessTime }) => Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 < POLLED_WITHIN_MS);
    return new Set(late.map(({ identity }) => identity ?? ''));
  };
  const [shared, ...byRole] = await Promise.all([
    recent([TASK_QUEUES.gpu]),
    ...DEVICE_ROLES.map((role) => recent(EXECUTION_PROVIDERS.map((provider) => roleQueue(role, provider)))),
  ]);
  return [...shared].sort().map((identity) => ({ identity, roles: DEVICE_ROLES.filter((_, i) => byRole[i]!.has(identity)) }));
}

async function pollersOf(client: Client, name: string) {
  const answer = await client.connection.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name },
    taskQueueType: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
  });
  return answer.pollers ?? [];
}

/** What to do about them; `null` where every queue has a worker. */
export function workerAdvice(queues: string[]): string | null {
  if (queues.length === 0) return null;
  return `no worker polls ${queues.map((name) => `\`${name}\``).join(', ')}: start ${queues.map((name) => `\`refineloop worker --queue ${name}\``).join(', ')}`;
}
