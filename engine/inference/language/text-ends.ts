import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import { fileExists } from '../file-exists.js';
import { readModelJson } from '../model-json.js';

const ids = z.union([z.int().transform((id) => [id]), z.array(z.int())]).nullish();
const id = z.int().nullish();
const own = z.looseObject({
  eos_token_id: ids,
  bos_token_id: id,
  decoder_start_token_id: id,
  vocab_size: id,
  is_encoder_decoder: z.boolean().nullish(),
  max_position_embeddings: id,
});
const schema = own.extend({ text_config: own.nullish(), image_token_index: id, image_token_id: id });
export type LanguageConfig = z.output<typeof schema>;

/** What a language model begins and ends its texts with. */
export interface TextEnds {
  /** Any of them ends a text. */
  endIds: number[];
  decoderStartId: number | undefined;
}

/** Throws InvalidInput, which names the file. */
export async function loadLanguageConfig(folder: string, name = 'config.json'): Promise<LanguageConfig> {
  const file = join(folder, name);
  const parsed = schema.safeParse(await readModelJson(file));
  if (!parsed.success) throw new InvalidInput(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** By `generation_config.json`, and where it is silent by `config.json`; the rest of the former is the recipe's to say. */
export async function loadTextEnds(folder: string): Promise<TextEnds> {
  const config = await loadLanguageConfig(folder);
  const name = 'generation_config.json';
  const hasGeneration = await fileExists(join(folder, name));
  const places = [hasGeneration ? await loadLanguageConfig(folder, name) : {}, config.text_config ?? {}, config];
  const first = <K extends 'eos_token_id' | 'decoder_start_token_id'>(key: K) =>
    places.map((place) => place[key]).find((value) => value !== null && value !== undefined);
  const endIds = first('eos_token_id');
  if (!endIds) throw new InvalidInput(`${join(folder, name)} names no eos_token_id, nor does config.json: no text would end; add it`);
  return { endIds, decoderStartId: first('decoder_start_token_id') ?? undefined };
}

/** What a decoder begins with. Throws InvalidInput where the folder does not say. */
export function decoderStart({ decoderStartId }: TextEnds, folder: string): number {
  if (decoderStartId !== undefined) return decoderStartId;
  throw new InvalidInput(`${folder}: neither generation_config.json nor config.json has a decoder_start_token_id; add it`);
}

/** Ids below it are words. Throws InvalidInput where the configuration does not say. */
export function vocabularySize({ vocab_size: size }: LanguageConfig, folder: string): number {
  if (size) return size;
  throw new InvalidInput(`${join(folder, 'config.json')} has no vocab_size; add it`);
}

/**
 * How many tokens may be written behind so many that are read. Throws InvalidInput where these alone do not fit into the model's context, beyond which a
 * graph has no positions.
 */
export function roomBehind(read: number, asked: number, config: LanguageConfig): number {
  const context = config.text_config?.max_position_embeddings ?? config.max_position_embeddings ?? Infinity;
  if (read >= context)
    throw new InvalidInput(
      `the prompt has ${read} tokens, and the model reads at most ${context}: the caption, or the feedback of earlier rounds, is too long for it`,
    );
  return Math.min(asked, context - read);
}
