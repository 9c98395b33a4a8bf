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
    if (code !== 'ENOENT' || parent === path) throw error;
    // A parent that is there now may have been made by another writer since: so once more, and then the error stands.
    if (!(await isThere(parent))) await makeFolder(parent);
    await makeOne(path);
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await fs.mkdir(path);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

function isThere(path: string): Promise<boolean> {
  return fs.stat(path).then(
    () => true,
    () => false,
  );
}
