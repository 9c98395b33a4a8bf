#!/usr/bin/env node
/**
 * `npm test`: sets up, checks the code, runs every suite with a heading, and ends with the line `N passed, N failed`.
 * `npm test -- storage` runs only what the word matches: suites, files, or `check` for lint, format and types.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setup } from './setup.mjs';
import { StepError } from './setup-step.mjs';
import { findOrInstallMinio } from '../infra/minio.mjs';
import { findOrInstallToxiproxy } from '../infra/toxiproxy.mjs';
import { findOrInstallChromium, findOrMakePython, testEnvironment } from './test-needs.mjs';
import { findSuites } from './test-suites.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (...path) => join(ROOT, 'node_modules', ...path);
/** A suite that takes longer hangs: it is ended and counts as failed. */
const SUITE_LIMIT_MS = 30 * 60_000;

/** What suites start. Found or built before the tests, whose home is gone when they end. */
const NEEDS = {
  'test/storage': [findOrInstallMinio],
  'test/faults': [findOrInstallMinio, findOrInstallToxiproxy],
  'test/training': [findOrMakePython],
};

/** Whole-tree checks; each counts as one test. */
const CHECKS = [
  { name: 'eslint', command: [bin('eslint', 'bin', 'eslint.js'), '.'] },
  { name: 'prettier', command: [bin('prettier', 'bin', 'prettier.cjs'), '--check', '--log-level', 'warn', '.'] },
  { name: 'types', command: [bin('typescript', 'bin', 'tsc'), '--noEmit'] },
];

const total = { passed: 0, failed: 0, skipped: 0, failures: [] };

const filters = process.argv.slice(2);
const started = Date.now();
try {
  await setup();
  await runChecks();
  await runSuites();
} catch (error) {
  fail(
    error instanceof StepError ? `set-up ${error.message}` : `the test run itself: ${error instanceof Error ? error.stack : String(error)}`,
  );
}
summary();

async function runChecks() {
  if (filters.length > 0 && !filters.includes('check')) return;
  heading('check');
  for (const { name, command } of CHECKS) {
    const code = await node(command);
    if (code === 0) {
      total.passed++;
      console.log(`  passed: ${name}`);
    } else fail(`check > ${name} (exit ${code})`);
  }
}

async function runSuites() {
  const suites = findSuites(ROOT, filters);
  const { env, remove } = testEnvironment();
  const results = mkdtempSync(join(tmpdir(), 'refineloop-results-'));
  try {
    for (const [i, suite] of suites.entries()) {
      heading(suite.name);
      if (suite.name === 'test/browser') env.CHROMIUM_PATH = await needed(findOrInstallChromium);
      for (const find of NEEDS[suite.name] ?? []) await needed(find);
      const file = join(results, `${i}.json`);
      // Suites under test/ start servers and processes of their own: one at a time.
      const workers = suite.name.startsWith('test/') ? ['--runInBand'] : [];
      const code = await node(
        ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', bin('jest', 'bin', 'jest.js')].concat([
          '--json',
          `--outputFile=${file}`,
          ...workers,
          '--runTestsByPath',
          ...suite.files,
        ]),
        env,
      );
      collect(suite.name, file, code);
    }
  } finally {
    rmSync(results, { recursive: true, force: true });
    remove();
  }
}

/** What a suite needs; where it is not to be had, that is said and the suite fails by itself. */
async function needed(find) {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    fail(error.message);
    return undefined;
  }
}

/** Adds what jest wrote about a suite. A file that could not even load counts as one failure, and so does jest itself. */
function collect(name, file, code) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return fail(`${name}: jest ended (${code}) without a result`);
  }
  total.passed += report.numPassedTests;
  total.skipped += report.numPendingTests + report.numTodoTests;
  let failed = 0;
  for (const result of report.testResults) {
    const where = relative(ROOT, result.name);
    const tests = result.assertionResults.filter((test) => test.status === 'failed');
    for (const test of tests) fail(`${where} > ${test.fullName}`);
    failed += tests.length;
    if (result.status === 'failed' && tests.length === 0) {
      failed++;
      fail(`${where} could not run: ${firstLine(result.message)}`);
    }
  }
  if (code !== 0 && failed === 0) fail(`${name}: jest ended with ${code}`);
}

function node(args, env = process.env) {
  return new Promise((resolve) => {
    // Its own process group, so that a suite that hangs takes what it started along.
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', outputOf(args), 'inherit'], detached: true });
    const end = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It has ended already.
      }
    };
    const interrupted = () => {
      end('SIGTERM');
      process.exit(130);
    };
    process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
    const timer = setTimeout(() => end('SIGKILL'), SUITE_LIMIT_MS);
    const done = (result) => {
      clearTimeout(timer);
      process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
      resolve(result);
    };
    child.on('error', (error) => done(error.message));
    child.on('exit', (code, signal) => done(code ?? signal));
  });
}

/** Jest prints its JSON to stdout unless it goes to a file; all else it prints to stderr. The checks print to stdout. */
function outputOf(args) {
  return args.includes('--json') ? 'ignore' : 'inherit';
}

function heading(name) {
  console.log(`\n== ${name}`);
}

function fail(what) {
  total.failed++;
  total.failures.push(what);
  console.log(`  FAILED: ${what}`);
}

function firstLine(message) {
  return (
    message
      .replaceAll(/\u001b\[[0-9;]*m/g, '')
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '' && !line.startsWith('●')) ?? 'no message'
  );
}

function summary() {
  const { passed, failed, skipped, failures } = total;
  const ranNothing = passed + failed === 0;
  console.log(`\n== result after ${Math.round((Date.now() - started) / 1000)} s`);
  for (const what of failures) console.log(`  FAILED: ${what}`);
  if (ranNothing) console.log(`  nothing ran${filters.length > 0 ? `: no suite or file matches ${filters.join(' or ')}` : ''}`);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed > 0 || ranNothing ? 1 : 0;
}
