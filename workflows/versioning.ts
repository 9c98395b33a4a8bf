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

/** Whether a workflow had better begin anew: its history is long, or another version of the workers is current. */
export function isTimeToContinue(): boolean {
  const { continueAsNewSuggested, targetWorkerDeploymentVersionChanged } = workflowInfo();
  return continueAsNewSuggested || targetWorkerDeploymentVersionChanged;
}

/** Workers of no version have a build id, too, but no deployment. */
const isVersioned = (): boolean => Boolean(workflowInfo().currentDeploymentVersion?.deploymentName);
