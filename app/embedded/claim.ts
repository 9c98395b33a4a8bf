import { createServer } from 'node:net';

/** A name that is this process's until it lets go of it or ends, however it ends. */
export interface Claim {
  release(): void;
}

/**
 * Claims a name on this machine; `null`: another process has it. Said by an abstract socket, which Linux alone has and
 * which goes with its process; elsewhere every claim is granted.
 */
export function claim(name: string): Promise<Claim | null> {
  if (process.platform !== 'linux') return Promise.resolve({ release: () => undefined });
  return new Promise((resolve) => {
    const word = createServer().unref();
    word.once('error', () => resolve(null));
    word.listen(`\0refineloop-${name}`, () => resolve({ release: () => void word.close() }));
  });
}
