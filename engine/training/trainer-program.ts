import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import { memoized } from '../../core/memoized.js';
import type { Digest } from '../../core/types.js';
import { packageFile } from './package-file.js';

export const TRAINER_SCRIPTS = ['train', 'export', 'measure'] as const;
export type TrainerScript = (typeof TRAINER_SCRIPTS)[number];

/** The training program of a machine: a folder with train.py, export.py and measure.py, and who reads them. */
export interface TrainerProgram {
  folder: string;
  /** Of all that decides what it computes: its files, and the versions that it stands on. */
  digest: Digest;
}

/** Where the program that comes along has modules in common with others. */
const SHARED = ['models/training', 'models/export'];
const REQUIREMENTS = 'models/training/requirements.txt';

/**
 * The program that comes along, or another that takes the same configuration (docs/training.md).
 * Throws InvalidInput, which names what is missing.
 */
export const trainerProgram = memoized(async (named: string | undefined): Promise<TrainerProgram> => {
  const folder = resolve(named ?? packageFile('models/training/feedback'));
  const missing = TRAINER_SCRIPTS.map((script) => join(folder, `${script}.py`)).filter((file) => !existsSync(file));
  if (missing.length > 0) throw new InvalidInput(`the training program is not whole: ${missing.join(', ')} missing`);
  const shared = named === undefined ? SHARED.map(packageFile) : [];
  const entries: [string, string][] = [];
  for (const file of await withImports(
    TRAINER_SCRIPTS.map((script) => join(folder, `${script}.py`)),
    [folder, ...shared],
  )) {
    entries.push([basename(file), sha256(await readFile(file))]);
  }
  if (named === undefined) entries.push([REQUIREMENTS, sha256(await readFile(packageFile(REQUIREMENTS)))]);
  return { folder, digest: digestOf(canonicalJson(entries)) };
}, String);

/** Python files and those that they import from these folders, directly or not; sorted. */
async function withImports(scripts: string[], folders: string[]): Promise<string[]> {
  const files = new Set(scripts);
  // A set that grows while it is walked is walked to its end.
  for (const file of files) {
    for (const [, module] of (await readFile(file, 'utf8')).matchAll(/^\s*(?:from|import) (\w+)/gm)) {
      const found = folders.map((folder) => join(folder, `${module}.py`)).find((path) => existsSync(path));
      if (found !== undefined) files.add(found);
    }
  }
  return [...files].sort();
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What prepares the environment; it prints the interpreter's path last, and finds a whole environment in no time. */
const PYTHON_ENV = 'scripts/python-env.mjs';

/**
 * The interpreter that is named, else that of the pinned environment in the user's cache, which is made where it is missing: 6 GB, one to three minutes.
 * @param say told what it does
 * @throws InvalidInput where it cannot be made, or the one that is named cannot be run
 */
export async function trainerPython(named: string | undefined, say: (line: string) => void = () => {}): Promise<string> {
  if (named === undefined) return inPinnedEnvironment(say);
  await promisify(execFile)(named, ['--version']).catch((error: Error) => {
    throw new InvalidInput(`${named} is no Python that can be run here (${error.message}): mend --python or REFINELOOP_PYTHON`, {
      cause: error,
    });
  });
  return named;
}

/** The interpreter of the pinned environment; `null` where that is not made yet. Makes nothing. */
export async function findTrainerPython(): Promise<string | null> {
  return runPythonEnv(() => {}, { PYTHON_ENV: 'find' }).catch(() => null);
}

/** One at a time: it empties what an interrupted one has left. */
let making: Promise<string> | undefined;

function inPinnedEnvironment(say: (line: string) => void): Promise<string> {
  making ??= runPythonEnv(say).finally(() => (making = undefined));
  return making;
}

function runPythonEnv(say: (line: string) => void, env: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [packageFile(PYTHON_ENV)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const [printed, said]: [string[], string[]] = [[], []];
    createInterface(child.stdout).on('line', (line) => printed.push(line));
    createInterface(child.stderr).on('line', (line) => {
      said.push(line);
      if (!line.includes('reusing')) say(line);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      const python = printed.at(-1);
      if (code === 0 && python) resolve(python);
      else reject(new InvalidInput(`there is no Python for training: ${said.at(-1) ?? `exit code ${code}`}; see docs/training.md`));
    });
  });
}
