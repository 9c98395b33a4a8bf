import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Puts one file of a report in its place; names may hold a folder. */
export type ReportSink = (name: string, content: string | Uint8Array) => Promise<void>;

/** A folder on this machine; each file appears whole or not at all. */
export function folderSink(folder: string): ReportSink {
  return async (name, content) => {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${randomUUID()}.tmp`;
    await writeFile(temporary, content);
    await rename(temporary, path);
  };
}
