/** Models of true size for benchmarks, made by make_full_size.py into ~/.cache/refineloop/full-size (24 GB of disk, 12 of memory). */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'refineloop', 'full-size');

/** Makes a model that is not there, as its exporter does. @param make its name in make_full_size.py; @param folder what is wanted of it */
export function makeModels({ make, folder }) {
  if (existsSync(join(CACHE, folder))) return;
  const exporter = python(['models/export/requirements.txt']);
  const stages = [
    [`${make}-onnx`, [join(ROOT, 'bench/make_full_size.py'), make, CACHE]],
    [
      `${make}-onnx-fp16`,
      [join(ROOT, 'models/export/convert.py'), '--to', 'fp16', join(CACHE, `${make}-onnx`), join(CACHE, `${make}-onnx-fp16`)],
    ],
  ];
  for (const [made, args] of stages) {
    if (existsSync(join(CACHE, made)) || (made.endsWith('fp16') && folder !== made)) continue;
    if (spawnSync(exporter, args, { stdio: ['ignore', 2, 2] }).status !== 0) throw new Error(`${made} could not be made`);
  }
}

/** The interpreter of an environment; of the training's without requirements. */
export function python(requirements) {
  const made = spawnSync(process.execPath, [join(ROOT, 'scripts/python-env.mjs'), ...requirements], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  if (made.status !== 0) throw new Error('the Python environment could not be made');
  return made.stdout.trim().split('\n').at(-1);
}
