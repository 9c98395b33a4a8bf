import { statfs } from 'node:fs/promises';
import { StorageUnavailable } from '../../core/errors.js';

const MIB = 2 ** 20;
/** What the server's database and a first few pictures need. */
const TO_START = 16 * MIB;
/** Below this, writes of the server's database begin to fail, and a server that cannot write hangs. */
const TO_GO_ON = 2 * MIB;
const LOOK_EVERY_MS = 1_000;

/** @throws StorageUnavailable where the folder's disk has no room for an embedded server */
export async function requireFreeSpace(folder: string): Promise<void> {
  await requireBytes(folder, TO_START);
}

/** Rejects with StorageUnavailable when the disk is about to be full, before the server on it hangs. */
export function watchFreeSpace(folder: string): { full: Promise<never>; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  const full = new Promise<never>((_, reject) => {
    timer = setInterval(() => void requireBytes(folder, TO_GO_ON).catch(reject), LOOK_EVERY_MS);
  });
  full.catch(() => undefined); // Whoever waits hears of it.
  return { full, stop: () => clearInterval(timer) };
}

async function requireBytes(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= needed) return;
  const amount = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
  throw new StorageUnavailable(
    `the disk of ${folder} is full: ${amount(free)} free, ${amount(needed)} needed; make room, or name a store elsewhere with --store. What is finished is kept, and the same command goes on`,
  );
}
