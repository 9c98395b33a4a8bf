import { setWorkflowOptions, workflowInfo, type ContinueAsNewOptions, type Workflow } from '@temporalio/workflow';

/**
 * Says what another version of the workers means to a workflow: `PINNED` ends on the one that it began on, `AUTO_UPGRADE` moves at once, and what changes in
 * it stands behind `patched`. The server refuses it from workers of no version, which orchestrators without a build id are.
 */
export function versioned<T extends Workflow>(versioningBehavior: 'PINNED' | 'AUTO_UPGRADE', workflow: T): void {
  setWorkflowOptions(() => (isVersioned() ? { versioningBehavior } : {}), workflow);
}

/** For a pinned workflow that begins anew: on the current version. */
export const onCurrentVersion = (): ContinueAsNewOptions => (isVersioned() ? { initialVersioningBehavior: 'AUTO_UPGRADE' } : {});

/** From here on a history is long: who takes the workflow over reads and replays all of it, about a second for so many events. */
const LONG_EVENTS = 1_024;
/**
 * A server refuses to begin anew where a signal comes in at that moment, and the worker then replays the history, while more signals come in. So it is tried in
 * the first few of so many events, and work goes on in the rest.
 */
const [TRY_EVENTS, EVERY_EVENTS] = [32, 128];

/** Whether a workflow had better begin anew: its history is long, or another version of the workers is current. */
export function isTimeToContinue(): boolean {
  const { historyLength, continueAsNewSuggested, targetWorkerDeploymentVersionChanged } = workflowInfo();
  const isLong = historyLength >= LONG_EVENTS && historyLength % EVERY_EVENTS < TRY_EVENTS;
  return isLong || continueAsNewSuggested || targetWorkerDeploymentVersionChanged;
}

/** Workers of no version have a build id, too, but no deployment. */
const isVersioned = (): boolean => Boolean(workflowInfo().currentDeploymentVersion?.deploymentName);
