/** Folders that people bring for a model that can be run, and that are something else. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import { readModelConfig } from './model-json.js';

/** PEFT's file, and the one that diffusers' training scripts write. */
const ADAPTERS = ['adapter_config.json', 'pytorch_lora_weights.safetensors'];
/** What an adapter has nothing of. */
const WHOLE = /^(config|model_index)\.json$|\.onnx$/;
const WEIGHTS = /\.(safetensors|bin|ckpt|pt)$/;

const indexSchema = z.looseObject({ _class_name: z.string().nullish(), unet: z.unknown().optional() });

/** Throws InvalidInput, which says what to do instead, for a LoRA adapter and for a pipeline that has no UNet, as Flux and Stable Diffusion 3. */
export async function refuseOthers(folder: string): Promise<void> {
  const names = await readdir(folder);
  const adapter = ADAPTERS.find((name) => names.includes(name));
  if (adapter !== undefined && !names.some((name) => WHOLE.test(name))) {
    throw new InvalidInput(
      `${folder} is a LoRA adapter (${adapter}) and no model by itself: merge it with python models/export/merge_lora.py <model> ${folder} <merged>, then export <merged>`,
    );
  }
  if (!names.includes('model_index.json')) return;
  const file = join(folder, 'model_index.json');
  const { _class_name: name, unet } = await readModelConfig(file, indexSchema);
  if (!name || unet || names.includes('unet')) return;
  throw new InvalidInput(
    `${file}: _class_name ${name} is not supported, as it has no UNet; Stable Diffusion 1.x, 2.x and XL and latent consistency models are`,
  );
}

/** Of a model's files, the first of torch's weights where there is no ONNX graph; `undefined` for any other model. */
export function unexportedWeights(files: readonly string[]): string | undefined {
  return files.some((file) => file.endsWith('.onnx')) ? undefined : files.find((file) => WEIGHTS.test(file));
}
