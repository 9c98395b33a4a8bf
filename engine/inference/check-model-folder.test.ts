import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyGraph } from '../../test/support/onnx-graphs.mjs';
import { checkModelFolder, modelNotes, modelProblems } from './check-model-folder.js';
import type { ModelKind } from './model-layouts.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'));
});
afterEach(() => rm(root, { recursive: true }));

const write = async (path: string, content: string | Uint8Array = path): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
};

const GOLDENS = fileURLToPath(new URL('../../models/reference/goldens', import.meta.url));
const SD1 = 'diffusion-models/sd1';
const SCHEDULER = 'scheduler/scheduler_config.json';
const copyGolden = (golden: string): Promise<void> => cp(join(GOLDENS, golden), join(root, 'm'), { recursive: true });

/** Fields of the folder's files. */
async function change(changes: Record<string, object>): Promise<void> {
  for (const [path, fields] of Object.entries(changes)) {
    const before = JSON.parse(await readFile(join(root, 'm', path), 'utf8')) as object;
    await write(`m/${path}`, JSON.stringify({ ...before, ...fields }));
  }
}

const UNET = emptyGraph(['sample', 'timestep', 'encoder_hidden_states'], ['out_sample']);
const GRAPHS = {
  text_encoder: emptyGraph(['input_ids'], ['last_hidden_state']),
  unet: UNET,
  vae_decoder: emptyGraph(['latent_sample'], ['sample']),
};
const EYE = emptyGraph(['pixel_values'], ['last_hidden_state']);

describe('checkModelFolder', () => {
  test('lists every missing file and the command that makes the folder', async () => {
    await write('m/unet/model.onnx', UNET);
    const check = checkModelFolder(join(root, 'm'), 'text-to-image');
    await expect(check).rejects.toMatchObject({ code: 'InvalidInput' });
    await expect(check).rejects.toThrow(
      /model_index.json is missing; .*unet\/config.json is missing; .*vae_decoder\/model.onnx is missing.*optimum-cli export onnx .*--task text-to-image/,
    );
    await expect(check).rejects.not.toThrow(/unet\/model.onnx/);
  });

  test('accepts a tokenizer as transformers 4 writes it, and names what one use needs beside', async () => {
    for (const [part, graph] of Object.entries(GRAPHS)) await write(`m/${part}/model.onnx`, graph);
    await write('m/unet/config.json', '{"sample_size": 8}');
    await write('m/vae_decoder/config.json', '{"block_out_channels": [8]}');
    await write('m/scheduler/scheduler_config.json', '{"_class_name": "DDIMScheduler"}');
    const tokenizer = async (name: string) => write(`m/tokenizer/${name}`, await readFile(join(GOLDENS, SD1, 'tokenizer', name)));
    await tokenizer('tokenizer_config.json');
    await write('m/model_index.json', '{}');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(
      /: tokenizer\/tokenizer.json or tokenizer\/merges.txt is missing\. Made by/,
    );
    await tokenizer('merges.txt');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(/: tokenizer\/vocab.json is missing\. Made by/);
    await write('m/tokenizer/vocab.json', '{"a":');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(/tokenizer\/vocab.json is not valid JSON/);
    await tokenizer('vocab.json');
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).resolves.toBeUndefined();
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image', ['edits'])).rejects.toThrow(
      /: vae_encoder\/model.onnx is missing\. Made by/,
    );
  });

  test('asks for what the folder says that it has: the second encoder of an SDXL, the encoder of a T5', async () => {
    await write('m/model_index.json', JSON.stringify({ text_encoder_2: ['transformers', 'X'], tokenizer_2: ['transformers', 'Y'] }));
    await expect(checkModelFolder(join(root, 'm'), 'text-to-image')).rejects.toThrow(
      /tokenizer_2\/tokenizer.json or tokenizer_2\/merges.txt is missing; .*text_encoder_2\/model.onnx is missing/,
    );
    await write('m/config.json', JSON.stringify({ is_encoder_decoder: true }));
    await expect(checkModelFolder(join(root, 'm'), 'blip2')).rejects.toThrow(/onnx\/encoder_model.onnx or encoder_model.onnx is missing/);
  });

  test('asks a causal language model for one graph, and one with a soft prompt for its three', async () => {
    for (const name of ['merges.txt', 'vocab.json', 'tokenizer_config.json'])
      await write(`m/${name}`, await readFile(join(GOLDENS, 'language-models/opt', name)));
    await write('m/config.json', '{"vocab_size": 9, "eos_token_id": 2}');
    await expect(checkModelFolder(join(root, 'm'), 'causal-lm')).rejects.toThrow(
      /model: onnx\/decoder_model_merged.onnx or decoder_model_merged.onnx or onnx\/model.onnx or model.onnx is missing\. Made by/,
    );
    await write('m/prompt.json', '{"image": "soft"}');
    await write('m/onnx/decoder_model.onnx', emptyGraph(['input_ids', 'past_key_values.0.key'], ['logits']));
    await expect(checkModelFolder(join(root, 'm'), 'causal-lm')).rejects.toThrow(/decoder_model.onnx has no input inputs_embeds/);
    await write('m/onnx/decoder_model.onnx', emptyGraph(['inputs_embeds', 'past_key_values.0.key'], ['logits']));
    await expect(checkModelFolder(join(root, 'm'), 'causal-lm')).rejects.toThrow(
      /model: onnx\/embed_tokens.onnx or embed_tokens.onnx is missing; onnx\/image_projection.onnx or image_projection.onnx is missing\. Made by/,
    );
  });

  test('names a graph of another kind, by what it takes and gives', async () => {
    await write('m/preprocessor_config.json', '{}');
    await write('m/model.onnx', EYE);
    await expect(checkModelFolder(join(root, 'm'), 'vit-mae')).rejects.toThrow(
      /model.onnx has no input noise \(it has pixel_values\): it is of another kind .*export_vit_mae.py/,
    );
    await expect(checkModelFolder(join(root, 'm'), 'image-distance')).rejects.toThrow(/has no input image, reference/);
    await write('m/model.onnx', emptyGraph(['pixel_values', 'noise'], ['last_hidden_state']));
    await expect(checkModelFolder(join(root, 'm'), 'image')).rejects.toThrow(/model.onnx also takes noise: it is of another kind/);
    await write('m/model.onnx', emptyGraph(['pixel_values'], ['logits']));
    await expect(checkModelFolder(join(root, 'm'), 'image')).rejects.toThrow(/has no output image_embeds or .* \(it has logits\)/);
    await write('m/model.onnx', emptyGraph(['input_ids', 'attention_mask'], ['logits']));
    await expect(checkModelFolder(join(root, 'm'), 'causal-lm')).rejects.toThrow(
      /has no input past_key_values\.\*.*text-generation-with-past/,
    );
  });

  test.each<[string, string, ModelKind, Record<string, object>, RegExp[]]>([
    [
      'an inpainting UNet',
      SD1,
      'text-to-image',
      { 'unet/config.json': { in_channels: 9 } },
      [/unet\/config.json: in_channels is 9, .*inpainting/],
    ],
    [
      'a scheduler that draws its own noise schedule',
      SD1,
      'text-to-image',
      { [SCHEDULER]: { trained_betas: [0.1] } },
      [/scheduler_config.json: trained_betas/],
    ],
    [
      'an OPT that does not say where its texts end and what its words are',
      'paper-models/opt',
      'causal-lm',
      { 'config.json': { eos_token_id: null, vocab_size: null }, 'generation_config.json': { eos_token_id: null } },
      [/config.json has no vocab_size/, /generation_config.json names no eos_token_id, nor does config.json/],
    ],
    [
      'a T5 that does not say what it begins with',
      'language-models/blip2-t5',
      'blip2',
      {
        'config.json': { text_config: { is_encoder_decoder: true, eos_token_id: 1 } },
        'generation_config.json': { decoder_start_token_id: null },
      },
      [/neither generation_config.json nor config.json has a decoder_start_token_id/],
    ],
  ])('tells of a configuration that cannot be followed: %s', async (_, golden, kind, changes, problems) => {
    await copyGolden(golden);
    expect(await modelProblems(join(root, 'm'), kind)).toEqual([]);
    await change(changes);
    expect(await modelProblems(join(root, 'm'), kind)).toEqual(problems.map((problem) => expect.stringMatching(problem) as string));
  });

  test('tells an SDXL with the UNet of a Stable Diffusion 1.5', async () => {
    await copyGolden('diffusion-models/sdxl');
    await cp(join(GOLDENS, SD1, 'unet'), join(root, 'm/unet'), { recursive: true });
    expect(await modelProblems(join(root, 'm'), 'text-to-image')).toEqual([
      expect.stringMatching(/names a text_encoder_2 and the UNet does not take text_embeds, time_ids/),
    ]);
  });

  test('asks for the second encoder that the UNet of an SDXL wants, whatever model_index.json says', async () => {
    await copyGolden('diffusion-models/sdxl');
    await change({ 'model_index.json': { text_encoder_2: undefined, tokenizer_2: undefined } });
    expect(await modelProblems(join(root, 'm'), 'text-to-image')).toEqual([]);
    for (const part of ['text_encoder_2', 'tokenizer_2']) await rm(join(root, 'm', part), { recursive: true });
    expect(await modelProblems(join(root, 'm'), 'text-to-image')).toEqual([
      'tokenizer_2/tokenizer.json or tokenizer_2/merges.txt is missing',
      'text_encoder_2/model.onnx is missing',
    ]);
  });

  test('notes what a run does without, or wants to be told', async () => {
    await copyGolden(SD1);
    expect(await modelNotes(join(root, 'm'), 'text-to-image')).toEqual([]);
    await change({
      'model_index.json': { safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'] },
      [SCHEDULER]: { _class_name: 'HeunDiscreteScheduler' },
    });
    expect(await modelProblems(join(root, 'm'), 'text-to-image')).toEqual([]);
    expect(await modelNotes(join(root, 'm'), 'text-to-image')).toEqual([
      expect.stringMatching(/names a safety_checker that the folder does not have, so no picture is checked/),
      expect.stringMatching(/HeunDiscreteScheduler is not supported .*name one in the recipe: generator.scheduler/),
    ]);
    await cp(join(GOLDENS, 'diffusion-models/safety'), join(root, 'm'), { recursive: true });
    expect(await modelNotes(join(root, 'm'), 'text-to-image')).toHaveLength(1);
    await rm(join(root, 'm', 'vae_encoder'), { recursive: true });
    expect(await modelNotes(join(root, 'm'), 'text-to-image')).toContainEqual(
      expect.stringMatching(/without vae_encoder.* cannot begin with a picture/),
    );
  });

  test('says of what people bring for a model by mistake what it is, and what to do', async () => {
    await write('m/adapter_config.json', '{"peft_type": "LORA"}');
    await write('m/adapter_model.safetensors');
    const check = (kind: ModelKind) => checkModelFolder(join(root, 'm'), kind);
    await expect(check('causal-lm')).rejects.toThrow(/m is a LoRA adapter .* merge it with python models\/export\/merge_lora.py/);
    await expect(check('causal-lm')).rejects.not.toThrow(/Made by/);
    await write('m/config.json', '{}');
    await expect(check('causal-lm')).rejects.toThrow(
      /: it holds torch's weights \(adapter_model.safetensors\) and no ONNX graph: export it\. Made by: optimum-cli export onnx/,
    );
    await write('m/model_index.json', '{"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]}');
    await expect(check('text-to-image')).rejects.toThrow(/model_index.json: _class_name FluxPipeline is not supported, .*XL .* are$/);
    await write('m/model_index.json', '{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}');
    await expect(check('text-to-image')).rejects.toThrow(/no ONNX graph: export it\. Made by: .*--task text-to-image/);
  });

  test('takes graphs of lower precision in the parts of a pipeline', async () => {
    await write('m/unet/model_quantized.onnx', UNET);
    await write('m/vae_decoder/model_fp16.onnx', UNET);
    const check = checkModelFolder(join(root, 'm'), 'text-to-image');
    await expect(check).rejects.not.toThrow(/unet\/model.onnx/);
    await expect(check).rejects.toThrow(/vae_decoder\/model_fp16.onnx has no input latent_sample/);
  });

  describe('a vision-language model', () => {
    const PAIR = emptyGraph(['inputs_embeds', 'past_key_values.0.key'], ['logits', 'present.0.key']);
    beforeEach(async () => {
      await write('m/onnx/vision_encoder.onnx', emptyGraph(['pixel_values'], ['image_features']));
      await write('m/onnx/embed_tokens.onnx', emptyGraph(['input_ids'], ['inputs_embeds']));
      await write('m/onnx/decoder_model_merged.onnx', PAIR);
      await write('m/config.json', '{"text_config": {"eos_token_id": 2}}');
      await write('m/preprocessor_config.json', '{"processor_class": "Qwen2VLProcessor"}');
      await write('m/tokenizer.json');
      await write('m/tokenizer_config.json', '{}');
    });

    test('is asked for processor_config.json where its processor reads it', async () => {
      await expect(checkModelFolder(join(root, 'm'), 'vision-language')).resolves.toBeUndefined();
      await write('m/preprocessor_config.json', '{"processor_class": "SmolVLMProcessor"}');
      await expect(checkModelFolder(join(root, 'm'), 'vision-language')).rejects.toThrow(/: processor_config.json is missing\. Made by/);
      await write('m/preprocessor_config.json', '{}');
      await expect(checkModelFolder(join(root, 'm'), 'vision-language')).rejects.toThrow(/names no processor_class/);
    });

    test('has its graphs in one folder, and none that is empty', async () => {
      await rename(join(root, 'm/onnx/embed_tokens.onnx'), join(root, 'm/embed_tokens.onnx'));
      await expect(checkModelFolder(join(root, 'm'), 'vision-language')).rejects.toThrow(
        /its graphs lie in \. and onnx: put them into one folder/,
      );
      await write('m/onnx/embed_tokens.onnx', '');
      await expect(checkModelFolder(join(root, 'm'), 'vision-language')).rejects.toThrow(
        /embed_tokens.onnx cannot be loaded, it is corrupt/,
      );
    });

    test.each([
      ['chat_template.jinja', '{{ messages }}'],
      ['chat_template.json', '{"chat_template": "{{ messages }}"}'],
      ['tokenizer_config.json', '{"chat_template": [{"name": "default", "template": "{{ messages }}"}]}'],
    ])('answers questions by the chat template in %s', async (file, content) => {
      await expect(checkModelFolder(join(root, 'm'), 'vision-language', ['questions'])).rejects.toThrow(/it has no chat template/);
      await write(`m/${file}`, content);
      await expect(checkModelFolder(join(root, 'm'), 'vision-language', ['questions'])).resolves.toBeUndefined();
    });

    test('is told about, not stopped at, where a configuration cannot be read', async () => {
      await write('m/config.json', 'null');
      await rm(join(root, 'm/tokenizer.json'));
      await expect(checkModelFolder(join(root, 'm'), 'vision-language')).rejects.toThrow(
        /tokenizer.json is missing; .*config.json: .*expected object/,
      );
    });
  });

  test('accepts either file of an image encoder', async () => {
    await write('m/preprocessor_config.json');
    await expect(checkModelFolder(join(root, 'm'), 'image')).rejects.toThrow(/onnx\/vision_model.onnx or .*onnx\/model.onnx/);
    await write('m/onnx/model.onnx', EYE);
    await expect(checkModelFolder(join(root, 'm'), 'image')).resolves.toBeUndefined();
  });
});
