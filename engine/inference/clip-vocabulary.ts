import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import { fileExists } from './file-exists.js';
import { readModelJson } from './model-json.js';

/** A special token as transformers writes it: its text, or an object that holds it. */
export const specialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)]);

/** Names of special tokens, from `special_tokens_map.json` where there is one. */
const specialSchema = z.looseObject({
  bos_token: specialToken.default('<|startoftext|>'),
  eos_token: specialToken.default('<|endoftext|>'),
  unk_token: specialToken.default('<|endoftext|>'),
  pad_token: specialToken.optional(),
});
export type SpecialTokens = z.infer<typeof specialSchema>;

const vocabularySchema = z.record(z.string(), z.number().int().nonnegative());
const addedSchema = z.looseObject({ added_tokens_decoder: z.record(z.string(), z.looseObject({ content: z.string() })).optional() });

/** CLIP's words and the contractions apart, one digit at a time (the published vocabulary's pattern). */
const WORDS = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/**
 * What a folder says of its special tokens: `special_tokens_map.json` first, as transformers reads older folders, then
 * `tokenizer_config.json`. Throws InvalidInput naming the file.
 */
export async function readSpecialTokens(folder: string, config: object): Promise<SpecialTokens> {
  const file = join(folder, 'special_tokens_map.json');
  const map = (await fileExists(file)) ? await readModelJson(file) : {};
  return parse(specialSchema, { ...withoutNulls(config), ...withoutNulls(map as object) }, file);
}

/**
 * A CLIP tokenizer as `tokenizer.json` has it: the file, or, where an export by transformers 4 has none, what transformers makes of
 * `vocab.json` and `merges.txt`. Throws InvalidInput, which names the file, where neither can be used.
 */
export async function readClipTokenizer(folder: string, config: object, special: SpecialTokens): Promise<unknown> {
  const [whole, vocabFile, mergesFile] = ['tokenizer.json', 'vocab.json', 'merges.txt'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  if ((await fileExists(whole)) || !(await fileExists(mergesFile))) return lettersApart(await readModelJson(whole));
  const vocab = parse(vocabularySchema, await readModelJson(vocabFile), vocabFile);
  const merges = (await readFile(mergesFile, 'utf8')).split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#version'));
  const { bos_token: bos, eos_token: eos, unk_token: unk, pad_token: pad = eos } = special;
  const id = (token: string): number => {
    const found = vocab[token];
    if (found === undefined) throw new InvalidInput(`${vocabFile} has no ${JSON.stringify(token)}, which the folder calls a special token`);
    return found;
  };
  const added = parse(addedSchema, config, join(folder, 'tokenizer_config.json')).added_tokens_decoder;
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return lettersApart({
    version: '1.0',
    added_tokens: added
      ? Object.entries(added).map(([at, token]) => ({ ...plain, ...token, id: Number(at) }))
      : [...new Set([bos, eos, unk, pad])].map((content) => ({ ...plain, content, id: id(content) })),
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' }, { type: 'Lowercase' }],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: { type: 'RobertaProcessing', sep: [eos, id(eos)], cls: [bos, id(bos)], trim_offsets: false, add_prefix_space: false },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', unk_token: unk, continuing_subword_prefix: '', end_of_word_suffix: '</w>', fuse_unk: false, vocab, merges },
  });
}

/**
 * A tokenizer that lower-cases letter by letter, as transformers' does: JavaScript alone makes ς of a Σ that ends a word, and σ of every other.
 */
function lettersApart(tokenizer: unknown): unknown {
  const { normalizer } = tokenizer as { normalizer?: Normalizer | null };
  return normalizer ? { ...(tokenizer as object), normalizer: sigmaFirst(normalizer) } : tokenizer;
}

interface Normalizer {
  type: string;
  normalizers?: Normalizer[];
}

const sigmaFirst = (normalizer: Normalizer): object =>
  normalizer.type === 'Lowercase'
    ? { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' }, normalizer] }
    : { ...normalizer, ...(normalizer.normalizers ? { normalizers: normalizer.normalizers.map(sigmaFirst) } : {}) };

function parse<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  return result.data;
}

const withoutNulls = (fields: object): object => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
