import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { digestOf } from '../../core/content-hash.js';
import { checkModelFolder, modelDigest } from './model-folder.js';
import { readPack, verifyPack } from './pack.js';
import { runtimeOf } from './runtime.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'));
});
afterEach(() => rm(root, { recursive: true }));

const write = async (path: string, content = path): Promise<void> => {
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

/** Of ONNX, the version of the format alone. */
const EMPTY_GRAPH = '\x08\x08';

describe('checkModelFolder', () => {
  test('lists every missing file and the command that makes the folder', async () => {
    await write('m/unet/model.onnx', EMPTY_GRAPH);
    const check = checkModelFolder(join(root, 'm'), 'text-to-image');
    await expect(check).rejects.toMatchObject({ code: 'InvalidInput' });
    await expect(check).rejects.toThrow(
      /model_index.json is missing; .*unet\/config.json is missing; vae_decoder.*optimum-cli export onnx .*--task text-to-image/,
    );
    await expect(check).rejects.not.toThrow(/unet\/model.onnx/);
  });

  test('accepts a tokenizer as transformers 4 writes it, and names what one use needs beside', async () => {
    for (const part of ['text_encoder', 'unet', 'vae_decoder']) await write(`m/${part}/model.onnx`, EMPTY_GRAPH);
    for (const part of ['unet', 'vae_decoder', 'scheduler/scheduler_', 'tokenizer/tokenizer_'])
      await write(`m/${part.includes('/') ? part : `${part}/`}config.json`);
    await write('m/model_index.json', '{}');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(
      /: tokenizer\/tokenizer.json or tokenizer\/merges.txt is missing\. Made by/,
    );
    await write('m/tokenizer/merges.txt');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(/: tokenizer\/vocab.json is missing\. Made by/);
    await write('m/tokenizer/vocab.json');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).resolves.toBeUndefined();
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image', ['vae_encoder/model.onnx'])).rejects.toThrow(
      /: vae_encoder\/model.onnx is missing\. Made by/,
    );
  });

  test('asks for what the folder says that it has: the second encoder of an SDXL, the encoder of a T5', async () => {
    await write('m/model_index.json', JSON.stringify({ text_encoder_2: ['transformers', 'X'], tokenizer_2: ['transformers', 'Y'] }));
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(
      /text_encoder_2\/model.onnx is missing; tokenizer_2\/tokenizer.json or tokenizer_2\/merges.txt is missing/,
    );
    await write('m/config.json', JSON.stringify({ is_encoder_decoder: true }));
    await expect(checkModelFolder(join(root, 'm'), 'blip2')).rejects.toThrow(/onnx\/encoder_model.onnx or encoder_model.onnx is missing/);
  });

  test('asks a causal language model for one graph, and one with a soft prompt for its three', async () => {
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) await write(`m/${name}`, '{}');
    await expect(checkModelFolder(join(root, 'm'), 'causal-lm')).rejects.toThrow(
      /model: onnx\/decoder_model_merged.onnx or decoder_model_merged.onnx or onnx\/model.onnx or model.onnx is missing\. Made by/,
    );
    await write('m/prompt.json', '{"image": "soft"}');
    await write('m/onnx/decoder_model.onnx', EMPTY_GRAPH);
    await expect(checkModelFolder(join(root, 'm'), 'causal-lm')).rejects.toThrow(
      /model: onnx\/embed_tokens.onnx or embed_tokens.onnx is missing; onnx\/image_projection.onnx or image_projection.onnx is missing\. Made by/,
    );
  });

  test('accepts either file of an image encoder', async () => {
    await write('m/preprocessor_config.json');
    await expect(checkModelFolder(join(root, 'm'), 'image')).rejects.toThrow(/onnx\/vision_model.onnx or .*onnx\/model.onnx/);
    await write('m/onnx/model.onnx', EMPTY_GRAPH);
    await expect(checkModelFolder(join(root, 'm'), 'image')).resolves.toBeUndefined();
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

  test('a model outside a pack has no entry', async () => {
    await write('alone/model.onnx');
    expect(await readPack(join(root, 'alone'))).toBeNull();
    expect(await readPack(join(root, 'pack', 'other'))).toBeNull();
  });

  test('a whole model passes, and one in no pack; files that are corrupt, cut short or missing are named', async () => {
    await expect(verifyPack(join(root, 'pack', 'eye'))).resolves.toBeUndefined();
    await expect(verifyPack(root)).resolves.toBeUndefined();
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
