import type { ScoreModelKind } from '../../core/item-plan.js';

/** What a recipe can point at: a generator, what scores read, critics and what they see through. */
export type ModelKind = 'text-to-image' | 'causal-lm' | 'blip2' | 'vision-language' | ScoreModelKind;

/** What not every recipe asks of a model: to begin with a picture instead of noise, to answer a question. */
export type ModelUse = 'edits' | 'questions';

/** What a graph's file is called where its weights are of lower precision: transformers.js' names, the first that is there is taken. */
export const VARIANTS = ['', '_fp16', '_int8', '_quantized', '_uint8'];

/** A graph of a model folder. In names of inputs and outputs `*` stands for any rest. */
export interface Graph {
  /** Files that may hold it, without `.onnx`: `unet/model` is that place, `model` lies in `onnx/` (transformers.js) or beside the configuration (optimum). */
  names: [string, ...string[]];
  /** Inputs that it has. */
  takes: string[];
  /** Inputs that it may have beside; with another one it is of another kind. */
  mayTake?: string[];
  /** Outputs, of which it has one; none named: whatever it gives. */
  gives?: string[];
}

/** Paths in the folder, best first: full precision before lower, `onnx/` before the folder itself. */
export function graphPaths(...names: string[]): string[] {
  const places = (name: string) => (name.includes('/') ? [name] : [`onnx/${name}`, name]);
  return VARIANTS.flatMap((variant) => names.flatMap(places).map((place) => `${place}${variant}.onnx`));
}

interface Layout {
  graphs: Graph[];
  /** Each must be there; of alternatives in a list, one. */
  files: (string | string[])[];
  /** Its graphs must lie in one folder. */
  together?: true;
  /** How such a folder is made; models/export/README.md has the whole of it. */
  command: string;
}

const TOKENIZER: Layout['files'] = [['tokenizer.json', 'merges.txt'], 'tokenizer_config.json'];
const PAST = 'past_key_values.*';
/** What a decoder may be told of its words. */
const WORDS = ['attention_mask', 'position_ids', 'use_cache_branch', 'num_logits_to_keep'];

/** Inputs that Stable Diffusion XL's UNet has beside the others'. */
export const XL_INPUTS = ['text_embeds', 'time_ids'];

const VISION: Graph = {
  names: ['vision_model', 'model'],
  takes: ['pixel_values'],
  mayTake: ['input_ids', 'attention_mask'],
  gives: ['image_embeds', 'pooler_output', 'last_hidden_state'],
};
const EMBEDDINGS: Graph = { names: ['embed_tokens'], takes: ['input_ids'], gives: ['inputs_embeds'] };

export const LAYOUTS: Record<ModelKind, Layout> = {
  'text-to-image': {
    graphs: [
      { names: ['text_encoder/model'], takes: ['input_ids'] },
      {
        names: ['unet/model'],
        takes: ['sample', 'timestep', 'encoder_hidden_states'],
        mayTake: [...XL_INPUTS, 'timestep_cond'],
      },
      { names: ['vae_decoder/model'], takes: ['latent_sample'] },
    ],
    files: [
      'model_index.json',
      'scheduler/scheduler_config.json',
      ['tokenizer/tokenizer.json', 'tokenizer/merges.txt'],
      'tokenizer/tokenizer_config.json',
      'unet/config.json',
      'vae_decoder/config.json',
    ],
    command: 'optimum-cli export onnx --model <model> --task text-to-image <folder>',
  },
  'image-text': {
    graphs: [
      {
        ...VISION,
        names: ['text_model', 'model'],
        takes: ['input_ids'],
        mayTake: ['pixel_values', 'attention_mask'],
        gives: ['text_embeds', 'pooler_output'],
      },
      VISION,
    ],
    files: ['preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json'],
    command:
      'optimum-cli export onnx --model <model> --task feature-extraction <folder>, or python models/export/export_clip.py <model> <folder>',
  },
  image: {
    graphs: [VISION],
    files: ['preprocessor_config.json'],
    command: 'optimum-cli export onnx --model <model> --task feature-extraction <folder>',
  },
  'vit-mae': {
    graphs: [{ names: ['model'], takes: ['pixel_values', 'noise'], gives: ['last_hidden_state'] }],
    files: ['preprocessor_config.json'],
    command: 'python models/export/export_vit_mae.py <model> <folder>',
  },
  'image-distance': {
    graphs: [{ names: ['model'], takes: ['image', 'reference'], gives: ['distance'] }],
    files: [],
    command: 'python models/export/export_lpips.py --net alex --backbone <torchvision weights> --heads <lpips weights> --out <folder>',
  },
  'causal-lm': {
    graphs: [], // by its prompt.json: TOKEN_READER or SOFT_PROMPT
    files: ['config.json', ...TOKENIZER],
    command:
      'optimum-cli export onnx --model <model> --task text-generation-with-past <folder>, or for a soft prompt python models/training/feedback/export.py <config>',
  },
  blip2: {
    graphs: [
      { names: ['vision_model'], takes: ['pixel_values'], gives: ['last_hidden_state'] },
      { names: ['qformer'], takes: ['image_embeds'], gives: ['language_model_inputs'] },
      EMBEDDINGS,
      { names: ['decoder_model'], takes: [PAST], mayTake: ['input_ids', 'inputs_embeds', ...WORDS], gives: ['logits'] },
    ],
    files: ['config.json', 'preprocessor_config.json', ...TOKENIZER],
    command: 'python models/export/export_blip2.py <model> <folder>',
  },
  'vision-language': {
    graphs: [
      { names: ['vision_encoder'], takes: ['pixel_values'], mayTake: ['*'], gives: ['image_features'] },
      EMBEDDINGS,
      { names: ['decoder_model_merged'], takes: ['inputs_embeds', PAST], mayTake: ['*'], gives: ['logits'] },
    ],
    files: ['config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json'],
    together: true,
    command:
      "python models/export/export_smolvlm.py (or export_qwen2_vl.py, export_florence2.py) <model> <folder>, or an export in transformers.js' layout, such as those of onnx-community",
  },
};

/** Of a causal language model that reads a picture as tokens. */
export const TOKEN_READER: Graph = {
  names: ['decoder_model_merged', 'model'],
  takes: ['input_ids', PAST],
  mayTake: WORDS,
  gives: ['logits'],
};
/** Of one that reads a picture as vectors. */
export const SOFT_PROMPT: Graph[] = [
  { names: ['decoder_model'], takes: ['inputs_embeds', PAST], mayTake: WORDS, gives: ['logits'] },
  EMBEDDINGS,
  { names: ['image_projection'], takes: ['image_features'], gives: ['image_embeds'] },
];
/** Of a T5 or another encoder with a decoder. */
export const TEXT_ENCODER: Graph = { names: ['encoder_model'], takes: ['inputs_embeds'], mayTake: ['*'] };
/** Of Stable Diffusion XL. */
export const SECOND_TEXT_ENCODER: Graph = { names: ['text_encoder_2/model'], takes: ['input_ids'], gives: ['text_embeds'] };
export const VAE_ENCODER: Graph = { names: ['vae_encoder/model'], takes: ['sample'] };
export const SAFETY_CHECKER: Graph = { names: ['safety_checker/model'], takes: ['clip_input', 'images'], gives: ['has_nsfw_concepts'] };

/** Every kind of model folder. */
export const MODEL_KINDS = Object.keys(LAYOUTS) as ModelKind[];

/** The command that makes such a folder. */
export const exportCommand = (kind: ModelKind): string => LAYOUTS[kind].command;

const fits = (pattern: string, name: string): boolean => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern);

/** Why a graph with these inputs and outputs is of another kind; `null` where it is not. */
export function graphProblem({ takes, mayTake = [], gives }: Graph, found: { inputs: string[]; outputs: string[] }): string | null {
  const missing = takes.filter((pattern) => !found.inputs.some((name) => fits(pattern, name)));
  if (missing.length > 0) return `has no input ${missing.join(', ')} (it has ${found.inputs.join(', ') || 'none'})`;
  const others = found.inputs.filter((name) => ![...takes, ...mayTake].some((pattern) => fits(pattern, name)));
  if (others.length > 0) return `also takes ${others.join(', ')}`;
  if (gives && !gives.some((name) => found.outputs.includes(name)))
    return `has no output ${gives.join(' or ')} (it has ${found.outputs.join(', ') || 'none'})`;
  return null;
}
