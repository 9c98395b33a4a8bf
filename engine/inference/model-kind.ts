import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import { modelProblems } from './check-model-folder.js';
import { readModelConfig } from './model-json.js';
import { graphPaths, type ModelKind } from './model-layouts.js';
import { refuseOthers } from './other-folders.js';

/** Kinds by the class that `config.json` names under `architectures`; the first that fits. The vision-language ones are transformers.js'. */
const ARCHITECTURES: [RegExp, ModelKind][] = [
  [/^ViTMAE/, 'vit-mae'],
  [
    /^(Florence|Gemma\d|GlmOcr|Idefics|Lfm2Vl|LightOnOcr|Llava|Mistral3|Moondream|PaliGemma|Qwen\d|SmolVLM)\w*(ForConditionalGeneration|ForImageTextToText)$/,
    'vision-language',
  ],
  [/^LlavaQwen2ForCausalLM$/, 'vision-language'],
  [/ForCausalLM$/, 'causal-lm'],
  [/^(CLIP|Siglip|Siglip2)Model$/, 'image-text'],
  [/^Blip2/, 'blip2'],
  [/^(CLIPVision|Siglip2?Vision|Dinov2|DINOv3|ViT|Beit|Deit|Similarity)/i, 'image'],
];

/** What a pipeline's folder has, also where its `model_index.json` is missing. */
const PIPELINE_PARTS = ['model_index.json', 'unet', 'vae_decoder'];

/** Graphs that only one kind has: what the folder is where no architecture is named, however incomplete. */
const TELLING: [graph: string, ModelKind][] = [
  ['qformer', 'blip2'],
  ['vision_encoder', 'vision-language'],
  ['decoder_model_merged', 'causal-lm'],
  ['decoder_model', 'causal-lm'],
  ['text_model', 'image-text'],
];

/** Kinds that a graph's inputs and outputs tell, where the configuration does not; what fits several is the first. */
const BY_GRAPH: ModelKind[] = ['image-distance', 'vit-mae', 'image-text', 'image'];

const schema = z.looseObject({ architectures: z.array(z.string()).nullish() });

/**
 * What a model folder is: by `model_index.json`, by the architecture in its `config.json`, or by its graphs; `null` for a folder that is none.
 * Throws InvalidInput, which names the file, when it says something unknown or cannot be read.
 */
export async function modelKindOf(folder: string): Promise<ModelKind | null> {
  const names = await readdir(folder).catch((error: Error) => {
    throw new InvalidInput(`model folder ${folder} cannot be read: ${error.message}`, { cause: error });
  });
  await refuseOthers(folder);
  if (PIPELINE_PARTS.some((part) => names.includes(part))) return 'text-to-image';
  const file = join(folder, 'config.json');
  const { architectures } = names.includes('config.json') ? await readModelConfig(file, schema) : {};
  for (const name of architectures ?? []) {
    const known = ARCHITECTURES.find(([pattern]) => pattern.test(name));
    if (known) return known[1];
  }
  if (names.includes('onnx') || names.some((name) => name.endsWith('.onnx'))) {
    const files = [...names, ...(await readdir(join(folder, 'onnx')).catch(() => [])).map((name) => `onnx/${name}`)];
    const telling = !architectures?.length && TELLING.find(([graph]) => graphPaths(graph).some((path) => files.includes(path)));
    if (telling) return telling[1];
    for (const kind of BY_GRAPH) if ((await modelProblems(folder, kind)).length === 0) return kind;
  }
  if (!names.includes('config.json')) return null;
  const says = architectures?.length ? `names the architecture ${architectures.join(', ')}, which is not known` : 'names no architecture';
  throw new InvalidInput(`${file} ${says}; say what the model is with --kind`);
}
