import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
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

const REQUIREMENTS = 'models/training/requirements.txt';

/**
 * The program that comes along, or another that takes the same configuration (docs/training.md).
 * Throws InvalidInput, which names what is missing.
 */
export const trainerProgram = memoized(async (named: string | undefined): Promise<TrainerProgram> => {
  const folder = resolve(named ?? packageFile('models/training/feedback'));
  const missing = TRAINER_SCRIPTS.map((script) => join(folder, `${script}.py`)).filter((file) => !existsSync(file));
  if (missing.length > 0) throw new InvalidInput(`the training program is not whole: ${missing.join(', ')} missing`);
  const entries: [string, string][] = [];
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.py')).sort();
  for (const name of files) entries.push([name, sha256(await readFile(join(folder, name)))]);
  if (named === undefined) entries.push([REQUIREMENTS, sha256(await readFile(packageFile(REQUIREMENTS)))]);
  return { folder, digest: digestOf(canonicalJson(entries)) };
}, String);

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What prepares the environment; it prints the interpreter's path last, and finds a whole environment in no time. */
const PYTHON_ENV = 'scripts/python-env.mjs';

/**
 * The interpreter that is named, else that of the pinned environment in the user's cache, which is made where it is missing: 6 GB, one to three minutes.
 * @param say told what it does
 * @throws InvalidInput where it cannot be made
 */
export async function trainerPython(named: string | undefined, say: (line: string) => void = () => {}): Promise<string> {
  if (named !== undefined) return named;
  return inPinnedEnvironment(say);
}

/** One at a time: it empties what an interrupted one has left. */
let making: Promise<string> | undefined;

function inPinnedEnvironment(say: (line: string) => void): Promise<string> {
  making ??= runPythonEnv(say).finally(() => (making = undefined));
  return making;
}

function runPythonEnv(say: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [packageFile(PYTHON_ENV)], { stdio: ['ignore', 'pipe', 'pipe'] });
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
