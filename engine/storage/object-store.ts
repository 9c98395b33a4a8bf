import { InvalidInput } from '../../core/errors.js';

export interface PutOptions {
  /** Write only where nothing is stored under the key. Of racing writers exactly one wins. */
  ifAbsent?: boolean;
  /** Write only where exactly these bytes are stored under the key. */
  ifMatch?: Uint8Array;
}

/**
 * Bytes under keys such as `steps/ab12.json`: the little that `file:` and `s3:` have in common.
 * A reader sees a whole object or none. Every method throws StorageUnavailable where the store itself does not work.
 */
export interface ObjectStore {
  /** Absolute URI, `file:///...` or `s3://...`. */
  readonly uri: string;
  /** `undefined`: nothing is stored under the key. */
  get(key: string): Promise<Uint8Array | undefined>;
  /**
   * The same in parts, so that no more than a part is in memory. Read it to its end, or leave its loop: it holds a file or a connection.
   * `from`: first byte wanted, for who follows what grows; at or after the end there is nothing to read.
   */
  stream(key: string, options?: { from?: number }): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** False: the condition did not hold (something else was there) and nothing was written. */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<boolean>;
  /**
   * Adds bytes to a log, of which there is one writer. Where they lie is the store's: an object under the key, or several below `key/` that list in order
   * of writing. Only the last one grows. `durable`: on the disk before the promise resolves.
   */
  append(key: string, bytes: Uint8Array, options: { durable: boolean }): Promise<void>;
  /** All keys that begin with the prefix, in code unit order; `after`: only those behind this one. */
  list(prefix: string, options?: { after?: string }): AsyncIterable<string>;
  /** The same, each with a tag that changes with the object's bytes; without one where to find it takes as long as to read them. */
  listTags(prefix: string): AsyncIterable<{ key: string; tag?: string }>;
  /** Names directly below a folder prefix such as `runs/` that have keys below them, sorted. */
  listFolders(prefix: string): Promise<string[]>;
  /** Deleting what is not there is no error. */
  delete(key: string): Promise<void>;
  has(key: string): Promise<boolean>;
  /** Bytes; `undefined`: nothing is stored under the key. */
  size(key: string): Promise<number | undefined>;
}

/** Names that a writer uses until its object is whole; no key may hold one, and no listing shows one. */
export const TEMPORARY_PREFIX = '.tmp-';

/** Refuses keys that would leave the store or be taken for a half-written object. Throws InvalidInput. */
export function checkKey(key: string): void {
  const bad = key
    .split('/')
    .some((part) => part === '' || part === '.' || part === '..' || part.startsWith(TEMPORARY_PREFIX) || /[\0\\]/.test(part));
  if (bad) throw new InvalidInput(`"${key}" cannot be the name of an object in a store`);
}
