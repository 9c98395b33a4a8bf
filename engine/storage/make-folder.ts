import { promises as fs } from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from './file-errors.js';

/**
 * Makes a folder and those above it. Unlike Node's own `recursive`, which tries for ever below a folder in which nothing
 * can be made although it is there (such as /proc), it gives the error of the first folder that could not be made.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await fs.mkdir(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path || (await isThere(parent))) throw error;
    await makeFolder(parent);
    await makeFolder(path);
  }
}

function isThere(path: string): Promise<boolean> {
  return fs.stat(path).then(
    () => true,
    () => false,
  );
}
