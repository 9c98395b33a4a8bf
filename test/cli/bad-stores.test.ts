/** Stores that cannot be written: said clearly, exit code 4, and no process is left behind. */
import { jest } from '@jest/globals';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli, scratch } from '../support/cli.js';
import { processesNaming } from '../support/processes.js';
import { mountDisk, unmountDisk } from '../support/small-disk.js';
import { writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

const folder = scratch();
const recipe = writeRecipe(folder);

async function refused(store: string): Promise<string> {
  const { code, stderr } = await cli(['run', recipe, '--run', 'r', '--store', store]);
  expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining(store) });
  expect(processesNaming(store)).toEqual([]);
  return stderr;
}

/** Root may write where nobody may, so a mount says no to root; an ordinary user needs no mount. */
const asRoot = process.getuid?.() === 0;

test('a file where the store should be', async () => {
  const store = join(folder, 'file');
  writeFileSync(store, 'x');
  await refused(store);
});

test('a folder that nobody can make', async () => {
  await refused('/proc/nowhere/store');
});

test('a read-only store', async () => {
  const store = join(folder, 'read-only');
  if (!asRoot) {
    mkdirSync(store);
    chmodSync(store, 0o555);
    await refused(store);
  } else if (mountDisk(store, 'ro,size=64k')) {
    try {
      await refused(store);
    } finally {
      unmountDisk(store);
    }
  } else {
    // No mounts here, and root writes everywhere but in the kernel's own read-only folders.
    await refused('/proc/sys/kernel/store');
  }
});

test('a disk that is full', async () => {
  const store = join(folder, 'full');
  if (!asRoot || !mountDisk(store, 'size=48k')) {
    // /dev/full says "no space left" to every write, but only a file can lie there.
    console.warn('no small file system can be mounted here: the full disk is tested by test/storage alone');
    return;
  }
  try {
    expect(await refused(store)).toMatch(/space|full/i);
  } finally {
    unmountDisk(store);
  }
});
