import pLimit from 'p-limit';
import { InvalidInput } from '../../core/errors.js';
import { artifactKey } from './artifact-store.js';
import { collectReferences, collectTrainingReferences } from './references.js';
import { stepRecordKey } from './step-records.js';
import type { Store } from './store.js';

/** A run this young may have writers that its records do not show. */
const DAY_MS = 24 * 60 * 60 * 1000;
/** Objects that are looked at or deleted side by side. */
const HANDS = 16;

export interface Garbage {
  /** Runs that go, with everything below their folder. */
  runs: string[];
  /** Step records and artifacts that no kept run and no training refers to. */
  steps: number;
  artifacts: number;
  /** Of those artifacts. */
  bytes: number;
  /** False: this is what would go. */
  deleted: boolean;
}

export interface CollectGarbageOptions {
  /** Runs that stay; `null`: all, so that only what none refers to goes. */
  keep: readonly string[] | null;
  delete: boolean;
  now: Date;
}

/**
 * Finds, and where asked deletes, what no kept run and no training refers to. Runs go before what they refer to, so that one that is interrupted leaves nothing
 * half there, and the next one goes on.
 * @throws InvalidInput for a run to keep that is not there, and while a run of the store is open or ended less than a day ago
 */
export async function collectGarbage(store: Store, { keep, delete: really, now }: CollectGarbageOptions): Promise<Garbage> {
  const known = await store.listRuns();
  const missing = keep?.filter((run) => !known.includes(run)) ?? [];
  if (missing.length > 0) throw new InvalidInput(`no run ${missing.join(', ')} in ${store.uri}; known runs: ${known.join(', ') || 'none'}`);
  for (const run of known) refuseWhereYoung(`run ${run}`, await store.run(run).readState(), now);
  const trainings = await store.listTrainings();
  for (const id of trainings) refuseWhereYoung(`training ${id}`, await store.training(id).readState(), now);

  const kept = known.filter((run) => keep === null || keep.includes(run));
  const steps = new Set<string>();
  const digests = new Set<string>();
  const collections = [
    ...kept.map((run) => () => collectReferences(store, run)),
    ...trainings.map((id) => () => collectTrainingReferences(store, id)),
  ];
  for (const collect of collections) {
    const found = await collect();
    for (const key of found.steps) steps.add(stepRecordKey(key));
    for (const digest of found.digests) digests.add(artifactKey(digest));
  }
  // A folder without a manifest is what an interrupted deletion left.
  const runs = (await store.objects.listFolders('runs/')).filter((run) => !kept.includes(run));
  const deadSteps = await others(store, 'steps/', steps);
  const deadArtifacts = await others(store, 'blobs/', digests);
  const limit = pLimit(HANDS);
  const sizes = await Promise.all(deadArtifacts.map((key) => limit(() => store.objects.size(key))));
  if (really) {
    const remove = (keys: string[]) => Promise.all(keys.map((key) => limit(() => store.objects.delete(key))));
    for (const run of runs) {
      await store.objects.delete(`runs/${run}/manifest.json`);
      await remove(await others(store, `runs/${run}/`, new Set()));
    }
    await remove(deadSteps);
    // No run is open, so no step will be gone on with.
    await remove(await others(store, 'checkpoints/', new Set()));
    await remove(deadArtifacts);
  }
  const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  return { runs, steps: deadSteps.length, artifacts: deadArtifacts.length, bytes, deleted: really };
}

/** @throws InvalidInput */
function refuseWhereYoung(what: string, state: { finishedAt: string | null } | undefined, now: Date): void {
  if (!state?.finishedAt) {
    throw new InvalidInput(`${what} is open: what it has not recorded yet would be lost; finish or cancel it first`);
  }
  if (now.getTime() - Date.parse(state.finishedAt) < DAY_MS) {
    throw new InvalidInput(
      `${what} ended less than a day ago, at ${state.finishedAt}: a late writer may still be at work; try again later`,
    );
  }
}

async function others(store: Store, prefix: string, kept: ReadonlySet<string>): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.objects.list(prefix)) if (!kept.has(key)) keys.push(key);
  return keys;
}
