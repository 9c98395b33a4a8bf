/** Export scripts in their real Python: what they write is held against torch. */
import { jest } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, scratch } from '../support/cli.js';
import { python } from '../support/training.js';

jest.setTimeout(600_000);

const folder = scratch();
const run = (script: string, ...args: string[]) => spawnSync(python(), ['-B', join(ROOT, script), ...args], { encoding: 'utf8' });

test('a graph that does not give what torch gives ends the export by its name', () => {
  const out = join(folder, 'other');
  const { status, stderr } = run('test/training/small_exports.py', 'other-graph', out);
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(`${out}/model.onnx does not give what torch gives`) });
});

test('weights that do not fit into the file lie beside it, and are compared with it', () => {
  const out = join(folder, 'beside');
  const { status, stderr } = run('test/training/small_exports.py', 'beside', out);
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('largest difference from torch') });
  expect(existsSync(join(out, 'model.onnx_data'))).toBe(true);
});
