/** Somebody else's workflow, in the same worker as ours. */
import { proxyActivities } from '@temporalio/workflow';

const { greet } = proxyActivities({ startToCloseTimeout: '10 seconds' });

export async function greetSomebody(name) {
  return greet(name);
}
