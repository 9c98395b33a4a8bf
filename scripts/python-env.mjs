#!/usr/bin/env node
// Makes, or reuses, a pinned Python environment, and prints its interpreter's path as the last line of stdout:
// `PYTHON="$(node scripts/python-env.mjs | tail -n 1)"`. Everything else goes to stderr.
//
//   node scripts/python-env.mjs [REQUIREMENTS MODULE...]    default: what models/training needs; the modules must import
//
// The environment lives in the user's cache, outside the checkout, in a folder named after the hash of
// its requirements: another set of versions is another folder, and no checkout ever sees a half-upgraded one.
// With PYTHON_ENV=find in the environment it makes nothing: exit code 1 where there is none yet.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const MINIMUM_PYTHON = [3, 11];
const CANDIDATES = [process.env.PYTHON, 'python3', 'python3.13', 'python3.12', 'python3.11'].filter(Boolean);

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const TRAINING = [
  join(root, 'models', 'training', 'requirements.txt'),
  'diffusers',
  'numpy',
  'onnxruntime',
  'peft',
  'torch',
  'transformers',
];
const [requirementsArgument, ...modules] = process.argv.length > 2 ? process.argv.slice(2) : TRAINING;
const requirementsPath = resolve(requirementsArgument);
const requirements = readFileSync(requirementsPath);
const requirementsHash = createHash('sha256').update(requirements).digest('hex');

const cacheRoot = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
const environment = join(cacheRoot, 'refineloop', `python-${requirementsHash.slice(0, 16)}`);
const interpreter = join(environment, 'bin', 'python');
// Says which requirements are installed in full. It is written last, so a broken install is never taken for a good one.
const marker = join(environment, 'refineloop-done.json');

function say(message) {
  process.stderr.write(`python-env: ${message}\n`);
}

function fail(message) {
  say(message);
  process.exit(1);
}

function isComplete() {
  try {
    return existsSync(interpreter) && JSON.parse(readFileSync(marker, 'utf8')).requirementsSha256 === requirementsHash;
  } catch {
    return false; // no marker, or one that was cut off: not complete
  }
}

/** The first interpreter that is new enough, with its version. */
function findPython() {
  for (const command of CANDIDATES) {
    const probe = spawnSync(command, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' });
    if (probe.status !== 0) continue;
    const version = probe.stdout.trim();
    const [major, minor] = version.split('.').map(Number);
    if (major > MINIMUM_PYTHON[0] || (major === MINIMUM_PYTHON[0] && minor >= MINIMUM_PYTHON[1])) return { command, version };
  }
  return undefined;
}

/** Runs a command with its output on stderr, so that stdout stays the interpreter's path alone. */
function run(command, args) {
  const result = spawnSync(command, args, { stdio: ['ignore', 2, 2] });
  if (result.error) fail(`could not start ${command}: ${result.error.message}`);
  if (result.status !== 0) fail(`"${command} ${args.join(' ')}" ended with exit code ${result.status}`);
}

if (isComplete()) {
  say(`reusing ${environment}`);
} else if (process.env.PYTHON_ENV === 'find') {
  fail(`${environment} is not made yet`);
} else {
  const python = findPython();
  if (!python) fail(`needs Python ${MINIMUM_PYTHON.join('.')} or newer; tried ${CANDIDATES.join(', ')} (set PYTHON to choose one)`);
  say(`making ${environment} with ${python.command} (Python ${python.version})`);
  const size = requirementsPath === TRAINING[0] ? ': one to three minutes, 6 GB on disk (mostly torch)' : '';
  say(`installing ${relative(root, requirementsPath)}${size}`);
  const startedAt = Date.now();
  // The folder is built in place (a virtual environment cannot be moved), so what an interrupted install left goes first.
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(dirname(environment), { recursive: true });
  run(python.command, ['-m', 'venv', environment]);
  run(interpreter, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-cache-dir', '-r', requirementsPath]);
  if (modules.length > 0) run(interpreter, ['-c', `import ${modules.join(', ')}`]);
  const record = { requirementsSha256: requirementsHash, python: python.version, installedAt: new Date().toISOString() };
  writeFileSync(`${marker}.partial`, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(`${marker}.partial`, marker);
  say(`done in ${Math.round((Date.now() - startedAt) / 1000)} s`);
}
process.stdout.write(`${interpreter}\n`);
