import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';
import type { ModelKind } from './model-folder.js';
import { readModelJson } from './model-json.js';

/** Kinds by the class that `config.json` names under `architectures`; the first that fits. */
const ARCHITECTURES: [RegExp, ModelKind][] = [
  [/^ViTMAE/, 'vit-mae'],
  [/ForCausalLM$/, 'causal-lm'],
  [/^(CLIP|Siglip|Siglip2)Model$/, 'image-text'],
  [/^Blip2/, 'blip2'],
  [/^(Idefics|SmolVLM|Qwen2|Florence|Llava|PaliGemma)\w*(ForConditionalGeneration|ForImageTextToText)$/, 'vision-language'],
  [/^(CLIPVision|Siglip2?Vision|Dinov2|DINOv3|ViT|Beit|Deit|Similarity)/i, 'image'],
];

/** What a pipeline's folder has, also where its `model_index.json` is missing. */
const PIPELINE_PARTS = ['model_index.json', 'unet', 'vae_decoder'];

/**
 * What a model folder is, by `model_index.json` or by the architecture in its `config.json`; `null` for a folder that has neither.
 * Throws InvalidInput, which names the file, when it says something unknown or cannot be read.
 */
export async function modelKindOf(folder: string): Promise<ModelKind | null> {
  const names = await readdir(folder).catch((error: Error) => {
    throw new InvalidInput(`model folder ${folder} cannot be read: ${error.message}`, { cause: error });
  });
  if (PIPELINE_PARTS.some((part) => names.includes(part))) return 'text-to-image';
  if (!names.includes('config.json')) return null;
  const file = join(folder, 'config.json');
  const { architectures } = (await readModelJson(file)) as { architectures?: string[] };
  for (const name of architectures ?? []) {
    const known = ARCHITECTURES.find(([pattern]) => pattern.test(name));
    if (known) return known[1];
  }
  const says = architectures?.length ? `names the architecture ${architectures.join(', ')}, which is not known` : 'names no architecture';
  throw new InvalidInput(`${file} ${says}; say what the model is with --kind`);
}
