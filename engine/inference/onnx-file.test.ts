/** @jest-environment ./test/parity/onnx-environment.js */
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { graphWithExternalData } from '../../test/support/onnx-graphs.mjs';
import { checkModelFolder } from './check-model-folder.js';
import { readOnnxFile, weightBytes } from './onnx-file.js';
import { Sessions } from './sessions.js';

const UNET = fileURLToPath(new URL('../../models/packs/creatures/diffusion/unet/model.onnx', import.meta.url));

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'onnx-file-'));
  file = join(folder, 'model.onnx');
});
afterEach(() => rm(folder, { recursive: true }));

test('a real export tells what it takes and gives, its precision and its program', () => {
  expect(readOnnxFile(UNET)).toEqual({
    inputs: ['sample', 'timestep', 'encoder_hidden_states'],
    outputs: ['out_sample'],
    external: new Map(),
    precision: 'fp16',
    producer: 'pytorch 2.15.0',
  });
});

test('a file that is cut short, empty, no ONNX file or not there is named', async () => {
  const whole = await readFile(UNET);
  for (const bytes of [
    whole.subarray(0, whole.length - 1),
    Buffer.from('version https://git-lfs'),
    Buffer.of(0x08),
    Buffer.of(0x08, 0x08),
    Buffer.of(),
  ]) {
    await writeFile(file, bytes);
    expect(() => readOnnxFile(file)).toThrow(/model.onnx cannot be loaded, it is corrupt or incomplete/);
  }
  expect(() => readOnnxFile(join(folder, 'none.onnx'))).toThrow(/none.onnx is missing/);
});

describe('weights beside the file', () => {
  const place = { location: 'weights.bin', offset: 4096, dim: 3 };
  const beside = () => join(folder, place.location);
  beforeEach(async () => {
    await writeFile(file, graphWithExternalData(place));
    await writeFile(beside(), Buffer.concat([Buffer.alloc(4096), Buffer.from(Float32Array.of(1, 2, 3).buffer)]));
  });

  test('count, whatever their file is called, and the session finds them', async () => {
    expect(readOnnxFile(file)).toMatchObject({ inputs: ['pixel_values'], outputs: ['image_embeds'] });
    const sessions = new Sessions({ provider: 'cpu', device: 0 });
    const model = await sessions.load(file);
    expect((await model.run({ pixel_values: model.tensor('pixel_values', [10, 10, 10], [3]) })).data).toEqual(Float32Array.of(11, 12, 13));
    expect(model.bytes).toBe((await readFile(file)).length + 4096 + 12);
    expect(sessions.bytes).toBe(model.bytes);
    await sessions.release();
  });

  test('are missed before a run', async () => {
    await writeFile(join(folder, 'preprocessor_config.json'), '{}');
    await expect(checkModelFolder(folder, 'image')).resolves.toBeUndefined();
    await truncate(beside(), 4100);
    await expect(checkModelFolder(folder, 'image')).rejects.toThrow(/weights.bin is cut short: it has 4100 bytes, .* needs 4108/);
    await rm(beside());
    await expect(weightBytes(file)).rejects.toMatchObject({
      code: 'InvalidInput',
      message: expect.stringContaining('weights.bin is missing'),
    });
  });
});
