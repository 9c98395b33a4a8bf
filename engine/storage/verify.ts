import pLimit from 'p-limit';
import type { Digest } from '../../core/types.js';
import { collectReferences } from './references.js';
import type { Store } from './store.js';

/** Artifacts that are read side by side. */
const READERS = 8;

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
