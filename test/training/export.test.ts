/** Export scripts in their real Python: what they write is held against torch, and is what the host reads. */
import { jest } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelNotes, modelProblems } from '../../engine/inference/check-model-folder.js';
import { loadPreprocessor } from '../../engine/inference/pixel-values.js';
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

test('a safety checker goes into the folder of the generator that lacks it', async () => {
  const [source, generator] = [join(folder, 'source'), join(folder, 'generator')];
  cpSync(join(ROOT, 'models/reference/goldens/diffusion-models/sd1'), generator, { recursive: true });
  const index = join(generator, 'model_index.json');
  const named = {
    ...(JSON.parse(readFileSync(index, 'utf8')) as object),
    safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
  };
  writeFileSync(index, JSON.stringify(named));
  expect(await modelNotes(generator, 'text-to-image')).toEqual([expect.stringContaining('models/export/export_safety_checker.py')]);
  expect(run('test/training/small_exports.py', 'safety', source).status).toBe(0);
  const { status, stderr } = run('models/export/export_safety_checker.py', source, generator);
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringContaining('safety_checker/model.onnx: largest difference from torch'),
  });
  expect(await modelProblems(generator, 'text-to-image')).toEqual([]);
  expect(await modelNotes(generator, 'text-to-image')).toEqual([]);
  expect(await loadPreprocessor(join(generator, 'feature_extractor'))).toMatchObject({ size: { shortest_edge: 32 } });
});
