import { randomBytes } from 'node:crypto';
import { constants, promises as fs, type Dirent } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { storageUnavailable, systemCode } from './file-errors.js';
import { makeFolder } from './make-folder.js';
import { checkKey, TEMPORARY_PREFIX, type ObjectStore, type PutOptions } from './object-store.js';

export interface FileObjectStoreOptions {
  /** False: the file system has no hard links. Found out by itself; said here by tests. */
  hardLinks?: boolean;
}

/**
 * A store in a folder. Bytes are written and synced under a temporary name in the same folder, then moved to their key
 * in one step, so that neither a crash nor a race leaves half an object. The folder is made at the first write.
 */
export class FileObjectStore implements ObjectStore {
  readonly uri: string;
  readonly root: string;
  private hardLinks: boolean;

  constructor(root: string, options: FileObjectStoreOptions = {}) {
    this.root = resolve(root);
    this.uri = pathToFileURL(this.root).href;
    this.hardLinks = options.hardLinks ?? true;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const path = this.path(key);
    return absentIfNotFound('read', path, () => fs.readFile(path));
  }

  async stream(key: string, { from = 0 }: { from?: number } = {}): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = this.path(key);
    const file = await absentIfNotFound('read', path, () => fs.open(path));
    return file && readOn(file, path, from);
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<boolean> {
    const path = this.path(key);
    if (options.ifMatch && !(await this.takeAway(path, options.ifMatch))) return false;
    return guarded('write', path, async () => {
      const temporary = await this.writeTemporary(path, bytes);
      try {
        if (options.ifAbsent || options.ifMatch) return await this.moveIfAbsent(temporary, path);
        await fs.rename(temporary, path);
        return true;
      } catch (error) {
        await fs.rm(temporary, { force: true });
        throw error;
      }
    });
  }

  async append(key: string, bytes: Uint8Array, options: { durable: boolean }): Promise<void> {
    const path = this.path(key);
    await guarded('write', path, async () => {
      const file = await inFolderOf(path, () => fs.open(path, 'a'));
      let made = false;
      try {
        made = (await file.stat()).size === 0;
        await file.appendFile(bytes);
        if (options.durable) await file.sync();
      } finally {
        await file.close();
      }
      // A new file survives a power cut only once its folder is on the disk too.
      if (options.durable && made) await syncFolder(dirname(path));
    });
  }

  async *list(prefix: string, { after = '' }: { after?: string } = {}): AsyncIterable<string> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    for await (const key of this.walk(folder)) if (key.startsWith(prefix) && key > after) yield key;
  }

  async *listTags(prefix: string): AsyncIterable<{ key: string }> {
    for await (const key of this.list(prefix)) yield { key };
  }

  async listFolders(prefix: string): Promise<string[]> {
    const folders = (await this.entries(prefix)).filter((entry) => entry.isDirectory());
    return folders.map((entry) => entry.name).sort();
  }

  async delete(key: string): Promise<void> {
    const path = this.path(key);
    await absentIfNotFound('delete', path, () => fs.unlink(path));
    await this.removeEmptyFolders(dirname(path));
  }

  async has(key: string): Promise<boolean> {
    return (await this.size(key)) !== undefined;
  }

  async size(key: string): Promise<number | undefined> {
    const path = this.path(key);
    const found = await absentIfNotFound('read', path, () => fs.stat(path));
    return found?.isFile() ? found.size : undefined;
  }

  /** A folder without objects is none in any other store. One that a writer is just filling refuses to go. */
  private async removeEmptyFolders(folder: string): Promise<void> {
    for (let at = folder; at !== this.root; at = dirname(at)) {
      const removed = await fs.rmdir(at).then(
        () => true,
        () => false,
      );
      if (!removed) return;
    }
  }

  private path(key: string): string {
    checkKey(key);
    return join(this.root, key);
  }

  private async writeTemporary(path: string, bytes: Uint8Array): Promise<string> {
    const temporary = temporaryBeside(path);
    const file = await inFolderOf(path, () => fs.open(temporary, 'wx'));
    try {
      await file.writeFile(bytes);
      await file.sync();
    } catch (error) {
      await fs.rm(temporary, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return temporary;
  }

  /** A rename would overwrite; a link refuses where the name is taken. False: it was. */
  private async moveIfAbsent(temporary: string, path: string): Promise<boolean> {
    try {
      if (this.hardLinks) await fs.link(temporary, path);
      // Exclusive all the same, but not in one step: a crash here leaves an object that its digest or its JSON gives away.
      else await fs.copyFile(temporary, path, constants.COPYFILE_EXCL);
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EEXIST') {
        await fs.rm(temporary, { force: true });
        return false;
      }
      if (!this.hardLinks || !['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error;
      this.hardLinks = false;
      return this.moveIfAbsent(temporary, path);
    }
    await fs.rm(temporary, { force: true });
    return true;
  }

  /**
   * Removes the object if it holds exactly these bytes. Moving it away first gives it to one racer only,
   * and what turns out to be another object goes back.
   */
  private async takeAway(path: string, bytes: Uint8Array): Promise<boolean> {
    const same = (found: Uint8Array | undefined): boolean => found !== undefined && Buffer.compare(found, bytes) === 0;
    if (!same(await absentIfNotFound('read', path, () => fs.readFile(path)))) return false;
    const aside = temporaryBeside(path);
    return guarded('write', path, async () => {
      try {
        await fs.rename(path, aside);
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return false;
        throw error;
      }
      if (same(await fs.readFile(aside))) {
        await fs.rm(aside, { force: true });
        return true;
      }
      await this.moveIfAbsent(aside, path);
      return false;
    });
  }

  private async *walk(folder: string): AsyncIterable<string> {
    const entries = await this.entries(folder);
    const name = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);
    for (const entry of entries.sort((a, b) => (name(a) < name(b) ? -1 : 1))) {
      if (entry.isDirectory()) yield* this.walk(`${folder}${entry.name}/`);
      else yield folder + entry.name;
    }
  }

  private async entries(folder: string): Promise<Dirent[]> {
    if (folder !== '') checkKey(folder.slice(0, -1));
    const path = join(this.root, folder);
    const found = await absentIfNotFound('list', path, () => fs.readdir(path, { withFileTypes: true }));
    return (found ?? []).filter((entry) => !entry.name.startsWith(TEMPORARY_PREFIX));
  }
}

async function* readOn(file: fs.FileHandle, path: string, from: number): AsyncIterable<Uint8Array> {
  try {
    for await (const part of file.createReadStream({ start: from })) yield part as Uint8Array;
  } catch (error) {
    throw storageUnavailable('read', path, error);
  }
}

function temporaryBeside(path: string): string {
  return join(dirname(path), `${TEMPORARY_PREFIX}${process.pid}-${randomBytes(8).toString('hex')}`);
}

/** How often a folder may be removed under a writer by one who deletes. */
const FOLDER_TRIES = 10;

/** Runs an action that makes a file, and again after making the folder where that was missing. */
async function inFolderOf<T>(path: string, action: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await action();
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || tries === FOLDER_TRIES) throw error;
      await makeFolder(dirname(path));
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await fs.open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function guarded<T>(doing: string, path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw storageUnavailable(doing, path, error);
  }
}

async function absentIfNotFound<T>(doing: string, path: string, action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw storageUnavailable(doing, path, error);
  }
}
