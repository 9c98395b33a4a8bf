/** Packs of models: what is complete, what is missing, and what is no longer as it was added. */
import { jest } from '@jest/globals';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cli, cliJson, ROOT, scratch } from '../support/cli.js';
import { CREATURES, PACK } from '../support/small-recipe.js';

jest.setTimeout(60_000);

const folder = join(scratch(), 'mine');
mkdirSync(folder);
const model = (name: string) => join(folder, name);
const readPack = () => JSON.parse(readFileSync(join(folder, 'pack.json'), 'utf8')) as { models: Record<string, Record<string, unknown>> };

beforeEach(() => {
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  for (const name of ['similarity', 'opt']) cpSync(join(PACK, name), model(name), { recursive: true });
});

interface Listed {
  name: string;
  models: Array<{ name: string; kind: string; licence: string; trainedOn: number }>;
}

test('list shows the bundled pack, verify reads it again', async () => {
  const [pack] = await cliJson<Listed[]>(['models', 'list', PACK]);
  expect(pack).toMatchObject({ name: 'creatures', models: expect.arrayContaining([expect.objectContaining({ kind: 'causal-lm' })]) });
  const verified = await cliJson<Array<{ models: Array<{ problems: string[] }> }>>(['models', 'verify']);
  expect(verified.flatMap(({ models }) => models.flatMap(({ problems }) => problems))).toEqual([]);
});

test('add writes a pack.json that list and verify work on; a file that changed since is named', async () => {
  writeFileSync(join(model('opt'), 'README.md'), '---\nlicense: mit\n---\n# A model card\n');
  const added = await cliJson<{ models: Array<{ kind: string; problems: string[] }> }>(['models', 'add', folder]);
  expect(added.models.map(({ kind, problems }) => [kind, problems])).toEqual([
    ['causal-lm', []],
    ['image', []],
  ]);
  expect(readPack().models['opt']).toMatchObject({
    kind: 'causal-lm',
    licence: 'mit',
    precision: 'fp16',
    madeBy: 'exported by pytorch 2.15.0',
  });
  expect((await cliJson<Listed[]>(['models', 'list', folder]))[0]!.models.map(({ name }) => name)).toEqual(['opt', 'similarity']);
  await cliJson(['models', 'verify', folder]);

  truncateSync(join(model('opt'), 'tokenizer.json'), 100);
  const verified = await cli(['models', 'verify', folder]);
  expect(verified.code).toBe(1);
  expect(verified.stdout).toMatch(/mine opt: tokenizer.json has 100 bytes instead of \d+/);
  expect(verified.stderr).toContain('mine opt');
});

test('one model is added to the pack beside it: the others stay, and what was said of it before', async () => {
  const say = ['--licence', 'CC0-1.0', '--made-by', 'a friend', '--trained-on', CREATURES, '--split', 'test'];
  await cliJson(['models', 'add', model('opt'), ...say]);
  await cliJson(['models', 'add', model('similarity')]);
  await cliJson(['models', 'add', model('opt')]);
  const { opt, similarity } = readPack().models;
  expect(opt).toMatchObject({ licence: 'CC0-1.0', madeBy: 'a friend' });
  expect(similarity).toMatchObject({ licence: 'unknown' });
  expect((await cliJson<Listed[]>(['models', 'list', folder]))[0]!.models.map(({ trainedOn }) => trainedOn)).toEqual([233, 0]);
});

test('a model that a feedback set taught: its items are those of the true images, and its texts are told', async () => {
  const set = join(folder, 'set');
  const [one, two] = ['1', '2'].map((hex) => `sha256:${hex.repeat(64)}`);
  const rows = (split: string, ...lines: object[]) => {
    mkdirSync(join(set, split), { recursive: true });
    writeFileSync(join(set, split, 'metadata.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  };
  rows('train', { itemDigest: one, feedback: 'It is red.' }, { itemDigest: one, feedback: 'It is red.' }, { itemDigest: null, feedback: 'It has a tail.' }); // prettier-ignore
  rows('validation', { itemDigest: two, feedback: 'Only looked at.' });
  writeFileSync(join(set, 'feedback-set.json'), '{}');
  await cliJson(['models', 'add', model('opt'), '--trained-on', set]);
  expect(readPack().models['opt']!.trainedOn).toEqual({ digests: [one, two], feedback: ['It is red.', 'It has a tail.'] });
  appendFileSync(join(set, 'train/metadata.jsonl'), 'nonsense\n');
  const refused = await cli(['models', 'add', model('opt'), '--trained-on', set]);
  expect({ code: refused.code, stderr: refused.stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/train\/metadata\.jsonl:4: /) });
});

test('what is missing is named with the command that makes it, and nothing is written', async () => {
  rmSync(join(model('opt'), 'onnx'), { recursive: true });
  rmSync(join(model('similarity'), 'preprocessor_config.json'));
  const refused = await cli(['models', 'add', folder]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(
    /opt is no complete causal-lm model:\s+onnx\/decoder_model_merged.onnx or .*optimum-cli export onnx .*text-generation-with-past/s,
  );
  expect(refused.stderr).toMatch(/similarity is no complete image model:\s+preprocessor_config.json is missing/);
  expect(existsSync(join(folder, 'pack.json'))).toBe(false);
});

test('what a whole folder is used without is noted', async () => {
  cpSync(join(ROOT, 'models/reference/goldens/diffusion-models/sd1'), model('sd1'), { recursive: true });
  const index = join(model('sd1'), 'model_index.json');
  const named = {
    ...(JSON.parse(readFileSync(index, 'utf8')) as object),
    safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
  };
  writeFileSync(index, JSON.stringify(named));
  const added = await cli(['models', 'add', model('sd1')]);
  expect(added).toMatchObject({ code: 0, stdout: expect.stringMatching(/sd1: text-to-image, complete/) });
  expect(added.stderr).toMatch(/sd1: model_index.json names a safety_checker that the folder does not have, so no picture is checked/);
});

test('of several models those that are whole are added, and the others are told', async () => {
  writeFileSync(join(model('opt'), 'config.json'), '{"architectures": ["SomethingNewModel"]}');
  mkdirSync(model('cut'));
  writeFileSync(join(model('cut'), 'config.json'), '{"architectures":');
  const added = await cli(['models', 'add', folder]);
  expect(added.code).toBe(1);
  expect(added.stdout).toMatch(/similarity: image, complete\nwritten: .*pack.json/);
  expect(added.stderr).toMatch(/cut is no complete model of a known kind:\s+.*cut\/config.json is not valid JSON/);
  expect(added.stderr).toMatch(
    /opt is no complete model of a known kind:\s+.*SomethingNewModel, which is not known; say what the model is/,
  );
  expect(added.stderr).toMatch(/left out: .*cut, .*opt/);
  expect(Object.keys(readPack().models)).toEqual(['similarity']);
});

test('what a training begins with is no fault beside models that can be run, and one by itself', async () => {
  mkdirSync(model('opt-base'));
  cpSync(join(model('opt'), 'config.json'), join(model('opt-base'), 'config.json'));
  writeFileSync(join(model('opt-base'), 'model.safetensors'), 'W');
  const added = await cli(['models', 'add', folder]);
  expect(added).toMatchObject({ code: 0, stdout: expect.not.stringContaining('opt-base') });
  expect(added.stderr).toMatch(/opt-base: weights for training, not a model to run; exported by: optimum-cli .*text-generation-with-past/);
  const alone = await cli(['models', 'add', model('opt-base')]);
  expect(alone.code).toBe(1);
  expect(alone.stderr).toMatch(/no complete causal-lm model:\s+it holds torch's weights \(model.safetensors\) .*made by: optimum-cli/s);
});

test('a LoRA adapter among models is left out, and told how it is used', async () => {
  mkdirSync(model('lora'));
  writeFileSync(join(model('lora'), 'adapter_config.json'), '{}');
  const added = await cli(['models', 'add', folder]);
  expect(added.code).toBe(1);
  expect(added.stderr).toMatch(/lora is a LoRA adapter .*merge_lora.py/);
  expect((await cli(['models', 'add', model('lora')])).code).toBe(2);
});

test('--trained-on that is not there is named', async () => {
  const refused = await cli(['models', 'add', model('opt'), '--trained-on', '/nonexistent']);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/--trained-on \/nonexistent cannot be read/) });
  expect(refused.stderr).not.toContain('recipe');
  expect(existsSync(join(folder, 'pack.json'))).toBe(false);
});

test('a BLIP-2 without its configuration is still one, and not the picture model that one of its graphs is', async () => {
  cpSync(join(ROOT, 'models/reference/goldens/language-models/blip2-opt'), model('blip2'), { recursive: true });
  rmSync(join(model('blip2'), 'config.json'));
  const added = await cli(['models', 'add', model('blip2')]);
  expect(added.code).toBe(1);
  expect(added.stderr).toMatch(
    /blip2 is no complete blip2 model:\s+config.json is missing\s+made by: python models\/export\/export_blip2.py/,
  );
});

test('an LPIPS and a ViT-MAE are known by their graphs', async () => {
  const { models } = await cliJson<{ models: Array<{ folder: string; kind: string }> }>(['models', 'add', copiedScores()]);
  expect(models.map(({ folder: at, kind }) => [basename(at), kind])).toEqual([
    ['lpips-alex', 'image-distance'],
    ['vit-mae', 'vit-mae'],
  ]);
});

/** Folders whose configuration names no architecture. */
function copiedScores(): string {
  const copies = join(folder, 'scores');
  for (const name of ['lpips-alex', 'vit-mae']) {
    cpSync(join(ROOT, 'models/reference/goldens/scores-models', name), join(copies, name), { recursive: true });
  }
  rmSync(join(copies, 'vit-mae/config.json'));
  return copies;
}

test('weights of lower precision stand in for model.onnx; a folder that says nothing of itself is asked about', async () => {
  renameSync(join(model('similarity'), 'onnx/model.onnx'), join(model('similarity'), 'model_fp16.onnx'));
  await cliJson(['models', 'add', model('similarity')]);
  const preprocessor = join(model('similarity'), 'preprocessor_config.json');
  rmSync(join(model('similarity'), 'config.json'));
  renameSync(preprocessor, `${preprocessor}.away`);
  expect((await cli(['models', 'add', model('similarity')])).stderr).toMatch(/is no model and holds none: .*--kind/);
  renameSync(`${preprocessor}.away`, preprocessor);
  await cliJson(['models', 'add', model('similarity'), '--kind', 'image']);
  const none = await cli(['models', 'add', join(folder, 'none')]);
  expect({ code: none.code, stderr: none.stderr }).toEqual({ code: 2, stderr: expect.stringContaining('cannot be read') });
});
