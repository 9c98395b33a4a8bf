import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';

/** A string, or one of the three numbers that Python writes and JSON does not know. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;
const REPLACEMENTS: Record<string, string> = { Infinity: '1e999', '-Infinity': '-1e999', NaN: 'null' };

/** Parses JSON as Python writes it: `Infinity` is accepted (schedulers hold it), `NaN` becomes null. Throws SyntaxError. */
export function parseModelJson(text: string): unknown {
  return JSON.parse(text.replace(TOKEN, (token) => REPLACEMENTS[token] ?? token));
}

/** Reads one of a model folder's JSON files. Throws InvalidInput, which names the file, when it is missing or no JSON. */
export async function readModelJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidInput(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}): is this a complete model folder?`, {
      cause: error,
    });
  }
  try {
    return parseModelJson(text);
  } catch (error) {
    throw new InvalidInput(`${file} is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** One of them, checked. Throws InvalidInput, which names the file and each field that cannot be used. */
export async function readModelConfig<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const result = schema.safeParse(await readModelJson(file));
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  return result.data;
}
