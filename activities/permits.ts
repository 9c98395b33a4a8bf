import pLimit from 'p-limit';

/** The slots of a device, shared by all queues that its worker polls. Taken in the order in which they are asked for. */
export class Permits {
  private readonly limit: ReturnType<typeof pLimit>;

  constructor(slots: number) {
    this.limit = pLimit(slots);
  }

  /** Does `work` in a slot. Rejects with the signal's reason where that comes while it waits for one; work that has begun ends by itself. */
  take<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(signal.reason as Error);
      if (signal.aborted) return giveUp();
      signal.addEventListener('abort', giveUp, { once: true });
      void this.limit(async () => {
        signal.removeEventListener('abort', giveUp);
        if (!signal.aborted) await work().then(resolve, reject);
      });
    });
  }
}
