/** @jest-environment ./test/parity/onnx-environment.js */
import { readFile } from 'node:fs/promises';
import { Encoder } from '../../engine/inference/encoders.js';
import { checkModelFolder } from '../../engine/inference/check-model-folder.js';
import { modelDigest } from '../../engine/inference/model-folder.js';
import { readPack, verifyPack } from '../../engine/inference/pack.js';
import { Sessions } from '../../engine/inference/sessions.js';
import { datasetPath, golden, maxDifference, packPath } from './goldens.js';

interface Item {
  id: string;
  picture: string;
  caption: string;
  selectorText: number[];
  selectorImage: number[];
  similarityImage: number[];
}
const { items } = golden<{ items: Item[] }>('encoders');

describe('the encoders against the goldens, within 1e-5', () => {
  const sessions = new Sessions({ provider: 'cpu', device: 0 });

  test.each(items)('item $id', async (item) => {
    const [selector, similarity] = await Promise.all([
      Encoder.load(packPath('selector'), sessions),
      Encoder.load(packPath('similarity'), sessions),
    ]);
    const image = await readFile(datasetPath(item.picture));
    const [text] = await selector.embedTexts([item.caption], 'exact');
    const [picture] = await selector.embedImages([image], 'exact');
    const [other] = await similarity.embedImages([image], 'exact');
    expect(maxDifference(text!, item.selectorText)).toBeLessThan(1e-5);
    expect(maxDifference(picture!, item.selectorImage)).toBeLessThan(1e-5);
    expect(maxDifference(other!, item.similarityImage)).toBeLessThan(1e-5);
  });

  test('what is no picture is refused', async () => {
    const encoder = await Encoder.load(packPath('similarity'), sessions);
    await expect(encoder.embedImages([Buffer.from('no picture')], 'exact')).rejects.toMatchObject({ code: 'InvalidInput' });
  });

  test('a folder without a text model says so', async () => {
    const encoder = await Encoder.load(packPath('similarity'), sessions);
    await expect(encoder.embedTexts(['a creature'], 'exact')).rejects.toThrow(/text_model.onnx is missing/);
  });
});

describe('the bundled pack', () => {
  test.each([
    ['diffusion', 'text-to-image'],
    ['selector', 'image-text'],
    ['similarity', 'image'],
  ] as const)('%s is complete, intact and listed', async (name, kind) => {
    await checkModelFolder(packPath(name), kind);
    await verifyPack(packPath(name));
    expect(await readPack(packPath(name))).toMatchObject({ path: name, kind });
    expect(await modelDigest(packPath(name))).toMatch(/^sha256:/);
  });
});
