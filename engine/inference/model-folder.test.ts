import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { digestOf } from '../../core/content-hash.js';
import { modelDigest } from './model-folder.js';
import { readPack, verifyPack } from './pack.js';
import { runtimeOf } from './runtime.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'));
});
afterEach(() => rm(root, { recursive: true }));

const write = async (path: string, content: string | Uint8Array = path): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('modelDigest', () => {
  beforeEach(async () => {
    await write('m/unet/model.onnx', 'U');
    await write('m/config.json', 'C');
  });

  test('is SHA-256 over the canonical JSON of sorted paths and file digests', async () => {
    const entries = `[["config.json","${sha256('C')}"],["unet/model.onnx","${sha256('U')}"]]`;
    expect(await modelDigest(join(root, 'm'))).toBe(digestOf(entries));
  });

  test('does not move with the folder, its README, dot files or links in place of files', async () => {
    const before = await modelDigest(join(root, 'm'));
    await write('m/README.md');
    await write('m/LICENSE');
    await write('m/.git/config');
    await write('m/.gitattributes');
    await rename(join(root, 'm/config.json'), join(root, 'blob'));
    await symlink(join(root, 'blob'), join(root, 'm/config.json'));
    await rename(join(root, 'm'), join(root, 'elsewhere'));
    expect(await modelDigest(join(root, 'elsewhere'))).toBe(before);
  });

  test('moves with a byte and with a name', async () => {
    const before = await modelDigest(join(root, 'm'));
    await rename(join(root, 'm/config.json'), join(root, 'm/configs.json'));
    const renamed = await modelDigest(join(root, 'm'));
    await write('m/configs.json', 'c');
    expect(new Set([before, renamed, await modelDigest(join(root, 'm'))]).size).toBe(3);
  });

  test('a folder that is missing or empty is refused', async () => {
    await expect(modelDigest(join(root, 'none'))).rejects.toMatchObject({ code: 'InvalidInput', message: expect.stringContaining('none') });
    await mkdir(join(root, 'empty'));
    await expect(modelDigest(join(root, 'empty'))).rejects.toThrow(/is empty/);
  });
});

describe('packs', () => {
  const SEEN = digestOf('a picture');
  const writePack = (extra: object = {}): Promise<void> => {
    const files = [{ path: 'onnx/model.onnx', bytes: 1, sha256: sha256('M') }];
    const models = { eye: { path: 'eye', kind: 'image', files, trainedOn: { digests: [SEEN] } } };
    return write('pack/pack.json', JSON.stringify({ name: 'p', version: '1', licence: 'CC0-1.0', models, ...extra }));
  };
  beforeEach(async () => {
    await writePack();
    await write('pack/eye/onnx/model.onnx', 'M');
  });

  test('a model of a pack knows what it was trained on', async () => {
    expect((await readPack(join(root, 'pack', 'eye')))?.trainedOn.digests).toEqual([SEEN]);
  });

  test('a link to a model of a pack is that model, and a model that a pack links to is of the pack', async () => {
    await symlink(join(root, 'pack', 'eye'), join(root, 'linked'));
    expect((await readPack(join(root, 'linked')))?.trainedOn.digests).toEqual([SEEN]);
    await rename(join(root, 'pack', 'eye'), join(root, 'elsewhere'));
    await symlink(join(root, 'elsewhere'), join(root, 'pack', 'eye'));
    expect((await readPack(join(root, 'pack', 'eye')))?.trainedOn.digests).toEqual([SEEN]);
  });

  test('a model outside a pack has no entry', async () => {
    await write('alone/model.onnx');
    expect(await readPack(join(root, 'alone'))).toBeNull();
    expect(await readPack(join(root, 'pack', 'other'))).toBeNull();
  });

  test('a whole model passes, and one in no pack; files that are corrupt, cut short or missing are named', async () => {
    await expect(verifyPack(join(root, 'pack', 'eye'))).resolves.toMatchObject({ kind: 'image' });
    await expect(verifyPack(root)).resolves.toBeNull();
    await write('pack/eye/onnx/model.onnx', 'X');
    await expect(verifyPack(join(root, 'pack', 'eye'))).rejects.toThrow(/onnx\/model.onnx is corrupt/);
    await write('pack/eye/onnx/model.onnx', '');
    await expect(verifyPack(join(root, 'pack', 'eye'))).rejects.toThrow(/onnx\/model.onnx has 0 bytes instead of 1/);
    await rm(join(root, 'pack/eye/onnx/model.onnx'));
    await expect(verifyPack(join(root, 'pack', 'eye'))).rejects.toMatchObject({
      code: 'InvalidInput',
      message: expect.stringContaining('is missing'),
    });
  });

  test('a pack.json with wrong fields is refused with the field', async () => {
    await writePack({ models: { eye: { path: 3 } } });
    await expect(readPack(join(root, 'pack', 'eye'))).rejects.toThrow(/pack.json: .*models.eye.path/s);
  });
});

test('runtimeOf names the runtime that is installed', () => {
  expect(runtimeOf({ provider: 'cpu', batching: 'exact' })).toEqual({
    engine: 'onnxruntime-node',
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    provider: 'cpu',
    precision: 'fp32',
    batching: 'exact',
  });
});
