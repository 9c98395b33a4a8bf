import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fileExists } from '../file-exists.js';
import { readModelConfig } from '../model-json.js';

/** One template, or several by name. */
const templates = z.union([
  z.string(),
  z
    .array(z.looseObject({ name: z.string(), template: z.string() }))
    .transform((all) => all.find(({ name }) => name === 'default')?.template ?? null),
]);
const schema = z.looseObject({ chat_template: templates.nullish() });

/** Files that may hold it, as transformers has written them over the years, the newest first. */
const FILES = ['chat_template.json', 'processor_config.json', 'tokenizer_config.json'];

/**
 * How a model wants a conversation written down (Jinja); `null` for models of fixed tasks, which have none. Throws InvalidInput, which names the
 * file, where one that may hold it cannot be read.
 */
export async function readChatTemplate(folder: string): Promise<string | null> {
  const own = join(folder, 'chat_template.jinja');
  if (await fileExists(own)) return readFile(own, 'utf8');
  for (const file of FILES.map((name) => join(folder, name))) {
    const { chat_template: found } = (await fileExists(file)) ? await readModelConfig(file, schema) : {};
    if (found) return found;
  }
  return null;
}
