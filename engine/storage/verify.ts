import pLimit from 'p-limit';
import type { ArtifactRef, Digest, ItemRecord, RoundOutcome } from '../../core/types.js';
import type { Store } from './store.js';

/** Artifacts that are read side by side. */
const READERS = 8;
const PAGE = 500;

export interface Verification {
  /** Artifacts that were read. */
  checked: number;
  corrupt: Digest[];
  missing: Digest[];
  /** Keys of records that are referred to but missing or unreadable: `steps/...`, `runs/.../items/...`. */
  spoiltRecords: string[];
}

/**
 * Re-reads every artifact that a run refers to (true images, pictures, feedback, outputs of its steps) and everything
 * that those say they are derived from. All lists are sorted.
 */
export async function verifyRun(store: Store, runId: string): Promise<Verification> {
  const references = await collectReferences(store, runId);
  const limit = pLimit(READERS);
  const digests = [...references.digests].sort();
  const states = await Promise.all(digests.map((digest) => limit(() => store.artifacts.checkArtifact(digest))));
  return {
    checked: digests.length,
    corrupt: digests.filter((_, i) => states[i] === 'corrupt'),
    missing: digests.filter((_, i) => states[i] === 'missing'),
    spoiltRecords: [...references.spoiltRecords].sort(),
  };
}

interface References {
  digests: Set<Digest>;
  spoiltRecords: Set<string>;
}

async function collectReferences(store: Store, runId: string): Promise<References> {
  const run = store.run(runId);
  const digests = new Set<Digest>();
  const spoiltRecords = new Set<string>();
  const refer = (ref: ArtifactRef | undefined): void => {
    if (!ref) return;
    digests.add(ref.digest);
    for (const parent of ref.derivedFrom) digests.add(parent);
  };

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
      for (const part of round.prompt.parts) refer(part.ref);
      for (const step of Object.values(round.steps)) steps.add(step);
    }
  };
  await Promise.all((await run.listItemKeys()).map((key) => limit(() => readItem(key))));

  const readStep = async (key: string): Promise<void> => {
    const record = await store.steps.readStep(key);
    if (!record) spoiltRecords.add(`steps/${key}.json`);
    for (const output of Object.values(record?.outputs ?? {})) refer(output);
  };
  await Promise.all([...steps].map((key) => limit(() => readStep(key))));
  return { digests, spoiltRecords };
}

function roundsOf(record: ItemRecord): RoundOutcome[] {
  return record.arms.flatMap((arm) => arm.rounds);
}
