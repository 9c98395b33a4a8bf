import pLimit from 'p-limit';
import { isTrained } from '../../core/training.js';
import type { ArtifactRef, Digest, ItemRecord, RoundOutcome } from '../../core/types.js';
import { FOLDER_MEDIA_TYPE, folderDigests } from './folder-artifact.js';
import type { Store } from './store.js';

/** Records that are read side by side. */
const READERS = 8;
const PAGE = 500;

/** What a run refers to. */
export interface References {
  digests: Set<Digest>;
  /** Keys of steps. */
  steps: Set<string>;
  /** Keys of records that are referred to but missing or unreadable: `steps/...`, `runs/.../items/...`. */
  spoiltRecords: Set<string>;
}

/**
 * Everything that a run's manifest, index and items refer to: what its models were taught with, true images, pictures, feedback, the steps behind them, the outputs of
 * those, and what they say that they are derived from; also every step that the ledger names, so those of items that failed and of embeddings
 * that only scores read.
 */
export async function collectReferences(store: Store, runId: string): Promise<References> {
  const run = store.run(runId);
  const digests = new Set<Digest>();
  const spoiltRecords = new Set<string>();
  const refer = (ref: ArtifactRef | undefined): void => {
    if (!ref) return;
    digests.add(ref.digest);
    for (const parent of ref.derivedFrom) digests.add(parent);
  };

  for (const { trainingFeedback } of Object.values((await run.readManifest())?.models ?? {})) {
    if (trainingFeedback !== undefined) digests.add(trainingFeedback);
  }
  const summary = await run.readIndexSummary();
  for (let offset = 0; offset < (summary?.items ?? 0); offset += PAGE) {
    for (const item of await run.readIndexRange(offset, PAGE)) refer(item.trueImage);
  }

  const limit = pLimit(READERS);
  const steps = new Set<string>();
  const readItem = async (key: string): Promise<void> => {
    const record = await run.readItem(key);
    if (!record) spoiltRecords.add(`${run.prefix}items/${key}.json`);
    for (const round of record ? roundsOf(record) : []) {
      refer(round.image);
      refer(round.feedback?.ref);
      for (const { image, feedback } of round.candidates ?? []) for (const ref of [image, feedback.ref]) refer(ref);
      for (const part of round.prompt.parts) refer(part.ref);
      for (const step of Object.values(round.steps)) steps.add(step);
    }
  };
  await Promise.all((await run.listItemKeys()).map((key) => limit(() => readItem(key))));
  const ofItems = new Set(steps);
  for (const { key } of await store.readLedger(runId)) steps.add(key);

  const readStep = async (key: string): Promise<void> => {
    const record = await store.steps.readStep(key);
    if (!record && ofItems.has(key)) spoiltRecords.add(`steps/${key}.json`);
    for (const output of Object.values(record?.outputs ?? {})) refer(output);
    for (const input of record?.inputs ?? []) digests.add(input);
  };
  await Promise.all([...steps].map((key) => limit(() => readStep(key))));
  return { digests, steps, spoiltRecords };
}

function roundsOf(record: ItemRecord): RoundOutcome[] {
  return record.arms.flatMap((arm) => arm.rounds);
}

/** Everything that a training refers to: its feedback set, the steps of its cells, and what came of them. */
export async function collectTrainingReferences(store: Store, trainingId: string): Promise<Pick<References, 'digests' | 'steps'>> {
  const files = store.training(trainingId);
  const [manifest, result] = [await files.readManifest(), await files.readResult()];
  const steps = new Set<string>([
    ...(await files.listSteps()),
    ...(result?.steps ?? []),
    ...(result?.cells.filter(isTrained).map(({ key }) => key) ?? []),
  ]);
  const refs = [manifest?.data.folder, result?.measured, result?.picture, result?.pack].filter((ref) => ref !== undefined);
  for (const key of steps) refs.push(...Object.values((await store.steps.readStep(key))?.outputs ?? {}));
  const digests = new Set<Digest>();
  for (const ref of refs) {
    const all = ref.mediaType === FOLDER_MEDIA_TYPE ? await folderDigests(store.artifacts, ref) : [ref.digest];
    for (const digest of [...all, ...ref.derivedFrom]) digests.add(digest);
  }
  return { digests, steps };
}
