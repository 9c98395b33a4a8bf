/** Servers that tests and `infra/` need: found on PATH, or made once and kept in the user's cache. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run, step, StepError } from './setup-step.mjs';
import { cacheFolder, findOnPath, isExecutable } from './temporal-cli.mjs';

/**
 * Path of a command: on PATH, else in the cache, where `make` puts it, under its name, into the folder that it is given.
 * @throws StepError with what to do
 */
export async function cachedBinary(name, version, make) {
  const onPath = findOnPath([name]);
  if (onPath) return onPath;
  const folder = join(cacheFolder(), `${name}-${version}`);
  const binary = join(folder, name);
  if (isExecutable(binary)) return binary;
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  try {
    await make(temporary);
    mkdirSync(folder, { recursive: true });
    renameSync(join(temporary, name), binary);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return binary;
}

/** Builds a Go module's command into a folder. @param title what is built and how long that takes */
export async function goInstall(title, module, folder) {
  const go = findOnPath(['go']);
  if (!go) throw new StepError(`failed: ${title} is needed, and there is no Go to build it with: install Go 1.24 or newer (go.dev/dl)`);
  // Its modules and its cache, gigabytes, go when the binary is there.
  const own = { GOBIN: folder, GOPATH: join(folder, 'go'), GOCACHE: join(folder, 'cache'), GOFLAGS: '-trimpath -modcacherw' };
  const install = () => run(go, ['install', module], { env: { ...process.env, ...own } });
  // Many modules: one that did not come the first time comes the second, and the others are there already.
  await step(`${title} (go install ${module})`, () => install().catch(install));
}
