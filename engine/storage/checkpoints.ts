import type { ObjectStore } from './object-store.js';

/** Steps that were left in the middle, `checkpoints/<key>`: what a retry on any worker goes on from. Each is overwritten by the next, and goes with its step's end. */
export class Checkpoints {
  constructor(private readonly objects: ObjectStore) {}

  find(stepKey: string): Promise<Uint8Array | undefined> {
    return this.objects.get(checkpointKey(stepKey));
  }

  async write(stepKey: string, bytes: Uint8Array): Promise<void> {
    await this.objects.put(checkpointKey(stepKey), bytes);
  }

  remove(stepKey: string): Promise<void> {
    return this.objects.delete(checkpointKey(stepKey));
  }
}

const checkpointKey = (stepKey: string): string => `checkpoints/${stepKey}`;
