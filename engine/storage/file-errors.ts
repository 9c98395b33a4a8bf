import { StorageUnavailable } from '../../core/errors.js';

/** What a person can do about a file system's refusal, by its code. */
const ADVICE: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space or use another store',
  EDQUOT: 'the disk quota is used up; free some space or use another store',
  EROFS: 'the folder is read-only; make it writable or use another store',
  EACCES: 'permission is denied; make the folder readable and writable for this user or use another store',
  EPERM: 'permission is denied; make the folder readable and writable for this user or use another store',
  EIO: 'the disk reports an input/output error; check the disk',
  ENOTDIR: 'a file stands where a folder should be; move it away or use another store',
  EISDIR: 'a folder stands where a file should be; move it away',
  EEXIST: 'a file stands where a folder should be; move it away or use another store',
  EMFILE: 'too many files are open; raise the limit with "ulimit -n"',
  ENFILE: 'too many files are open on this machine',
  ENAMETOOLONG: 'the path is too long; use a store with a shorter path',
  ESTALE: 'the network folder went away; mount it again',
};

/** The `code` of a Node system error, else `undefined`. By its shape: the error may come from another realm (a vm, a test runner). */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
}

/** A file system's refusal as StorageUnavailable that names the path and what to do. */
export function storageUnavailable(doing: string, path: string, error: unknown): StorageUnavailable {
  const code = systemCode(error);
  const advice = code === undefined ? undefined : ADVICE[code];
  const why = advice ?? messageOf(error);
  return new StorageUnavailable(`cannot ${doing} ${path}: ${why}${code && advice ? ` (${code})` : ''}`, { cause: error });
}
