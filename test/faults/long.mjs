#!/usr/bin/env node
/**
 * The chaos test at length: `npm run chaos -- --items 200 --faults 30 --seed 7`. The same seed and number of faults give the same schedule.
 * Sets up what it needs and prints what breaks when; exit code 0: all of chaos.test.ts holds.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { findOrInstallMinio } from '../../infra/minio.mjs';
import { findOrInstallToxiproxy } from '../../infra/toxiproxy.mjs';
import { setup } from '../../scripts/setup.mjs';
import { testEnvironment } from '../../scripts/test-needs.mjs';

const number = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({ options: { items: number(200), faults: number(30), seed: number(7) } });
const wanted = [values.items, values.faults, values.seed].map(Number);
if (!wanted.every((n) => Number.isInteger(n) && n >= 0)) {
  console.error('--items, --faults and --seed take whole numbers');
  process.exit(2);
}
await setup();
await findOrInstallMinio();
await findOrInstallToxiproxy();
const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const test = fileURLToPath(new URL('./chaos.test.ts', import.meta.url));
const { env, remove } = testEnvironment();
const options = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', jest, '--runTestsByPath', test];
const run = spawn(process.execPath, options, { env: { ...env, CHAOS: JSON.stringify(wanted) }, stdio: 'inherit' });
const [code] = await once(run, 'exit');
remove();
process.exitCode = code ?? 1;
