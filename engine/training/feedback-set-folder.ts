import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson, digestOf, isDigest } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import type { Digest } from '../../core/types.js';
import { SPLITS, type FeedbackSplit } from '../datasets/feedback-rows.js';

const digest = z.custom<Digest>(isDigest, 'expected sha256:<64 hex digits>');
const text = z.string().min(1, 'expected a text that is not empty');

const setSchema = z.looseObject({ version: z.literal(1) });
const rowSchema = z.looseObject({ file_name: text, id: text, caption: text, feedback: text, itemDigest: digest.nullable() });

/** What a training needs to know of its feedback set before the program reads it. */
export interface FeedbackSetFolder {
  /** Over the canonical JSON of its rows as they are, those of training first: who has changed some since it was exported has another set. */
  digest: Digest;
  examples: Record<FeedbackSplit, number>;
  /** Items without a true image, which a pack cannot list. */
  unlisted: number;
}

/**
 * Reads a feedback set as `export --as feedback-set` writes it; pictures are the program's to read.
 * Throws InvalidInput with file, line and field.
 */
export async function readFeedbackSetFolder(folder: string): Promise<FeedbackSetFolder> {
  const file = join(folder, 'feedback-set.json');
  checked(setSchema, await readText(file), file);
  const examples = { train: 0, validation: 0 };
  const rows: unknown[] = [];
  const unlisted = new Set<string>();
  const splitOf = new Map<string, FeedbackSplit>();
  const said = new Map<string, string>();
  for (const split of SPLITS) {
    const name = join(folder, split, 'metadata.jsonl');
    const lines = (await readText(name)).split('\n');
    for (const [i, line] of lines.entries()) {
      if (line.trim() === '') continue;
      const row = checked(rowSchema, line, `${name}:${i + 1}`);
      const { id, itemDigest } = row;
      if (itemDigest === null) unlisted.add(id);
      rows.push(row);
      for (const [field, item] of [
        ['id', id],
        ['itemDigest', itemDigest],
      ] as const) {
        // prettier-ignore
        if (item === null) continue;
        const other = splitOf.get(item) ?? split;
        if (other !== split)
          throw new InvalidInput(`${name}:${i + 1}: ${field}: item ${item} stands in ${other} too; a split shares no item with another`);
        splitOf.set(item, split);
      }
      const example = canonicalJson([row.caption, row.feedback, row['pictureDigest'] ?? row.file_name]);
      const first = said.get(example);
      if (first) throw new InvalidInput(`${name}:${i + 1}: says what ${first} says, of the same picture: remove one of them`);
      said.set(example, `${name}:${i + 1}`);
      examples[split] += 1;
    }
    if (examples[split] === 0) {
      throw new InvalidInput(`${name} has no rows; training needs both splits: make the set with more items or a larger validation share`);
    }
  }
  return { digest: digestOf(canonicalJson(rows)), examples, unlisted: unlisted.size };
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'is missing' : `cannot be read (${error.code ?? error.message})`;
    throw new InvalidInput(`${file} ${why}: expected a feedback set as \`refineloop export RUN DEST --as feedback-set\` writes it`, {
      cause: error,
    });
  });
}

function checked<T>(schema: z.ZodType<T>, json: string, place: string): T {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new InvalidInput(`${place}: is no JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InvalidInput(`${place}: ${issue!.path.join('.') || 'the object'}: ${issue!.message}`);
}
