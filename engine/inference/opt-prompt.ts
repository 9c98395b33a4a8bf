import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import { PROMPT_TEMPLATES } from '../../core/prompt-templates.js';
import { fileExists } from './file-exists.js';
import { readModelJson } from './model-json.js';

const { fround } = Math;

/** Reading of what is no token: `wrap` counts on from the other end (modulo the vocabulary), `clamp` takes the nearest id. */
const outside = z.enum(['wrap', 'clamp']);

/** `prompt.json` beside the weights: one reading of the prompt for training and inference. The defaults are the paper's prompt. */
const promptSchema = z.object({
  template: z
    .string()
    .refine(
      (text) =>
        text.split('{caption}').length === 2 && text.split('{image}').length === 2 && text.indexOf('{caption}') < text.indexOf('{image}'),
      {
        message: 'must hold {caption} and then {image}, each once',
      },
    )
    .default(PROMPT_TEMPLATES['paper-opt']),
  /** A feature's token is the integer part of this many times its value. */
  scale: z.number().positive().default(1000),
  rounding: z.enum(['trunc', 'floor', 'round']).default('trunc'),
  negative: z.enum(['wrap', 'clamp', 'abs']).default('wrap'),
  outOfVocabulary: outside.default('wrap'),
  /** Begins with the tokenizer's BOS token. */
  bos: z.boolean().default(true),
  /** `soft`: vectors that a trained projection makes of the features stand where else their tokens do. */
  image: z.enum(['tokens', 'soft']).default('tokens'),
});
export type OptPrompt = z.output<typeof promptSchema>;

/** Reads `prompt.json`; a folder without one is read as the paper has it. Throws InvalidInput, which names the file. */
export async function loadOptPrompt(folder: string): Promise<OptPrompt> {
  const file = join(folder, 'prompt.json');
  const present = await fileExists(file);
  const parsed = promptSchema.safeParse(present ? await readModelJson(file) : {});
  if (!parsed.success) throw new InvalidInput(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/**
 * Token ids of a picture's features: `[scale x value]` in float32, each inside the vocabulary.
 * Two values a vocabulary apart share an id under `wrap`; with 1/1000 a step that takes features beyond +-25 at OPT's 50,272.
 */
export function featureIds(features: Float32Array, vocabSize: number, prompt: OptPrompt): number[] {
  return Array.from(features, (value) => insideVocabulary(rounders[prompt.rounding](fround(prompt.scale * value)), vocabSize, prompt));
}

const rounders = {
  trunc: Math.trunc,
  floor: Math.floor,
  /** Half to even, as torch and NumPy round. */
  round: (x: number) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)),
};

function insideVocabulary(id: number, vocabSize: number, { negative, outOfVocabulary }: OptPrompt): number {
  const signed = id < 0 && negative === 'abs' ? -id : id;
  if (signed >= 0 && signed < vocabSize) return signed + 0;
  const reading = signed < 0 ? negative : outOfVocabulary;
  return reading === 'clamp' ? Math.min(vocabSize - 1, Math.max(0, signed)) : ((signed % vocabSize) + vocabSize) % vocabSize;
}

/** The texts before, and after, the picture's tokens. */
export function promptTexts(caption: string, { template }: OptPrompt): { before: string; after: string } {
  const [before, after] = template.split('{image}') as [string, string];
  return { before: before.split('{caption}').join(caption), after };
}
