import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import { fileExists } from '../file-exists.js';
import { readModelJson } from '../model-json.js';

/** A special token as transformers writes it: its text, or an object that holds it. */
const token = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]).nullish();
const configSchema = z.looseObject({
  bos_token: token,
  eos_token: token,
  unk_token: token,
  pad_token: token,
  add_prefix_space: z.boolean().default(false),
  add_bos_token: z.boolean().default(false),
});
type Config = z.output<typeof configSchema>;

/** What is used of the library's class; its own declarations lead through path aliases that do not resolve outside it. */
interface TokenizerLibrary {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
  token_to_id(token: string): number | undefined;
}
const LibraryTokenizer = Tokenizer as unknown as new (tokenizer: unknown, config: unknown) => TokenizerLibrary;

/** A language model's tokenizer, by Hugging Face's library. */
export class TextTokenizer {
  private constructor(
    private readonly library: TokenizerLibrary,
    private readonly config: Config,
  ) {}

  /**
   * Reads `tokenizer.json`, or GPT-2's `vocab.json` and `merges.txt`, which is all that OPT's older exports have.
   * Throws InvalidInput, which names the file, where one is missing or cannot be used.
   */
  static async load(folder: string): Promise<TextTokenizer> {
    const configFile = join(folder, 'tokenizer_config.json');
    const parsed = configSchema.safeParse(await readModelJson(configFile));
    if (!parsed.success) throw new InvalidInput(`${configFile}: ${z.prettifyError(parsed.error)}`);
    const whole = join(folder, 'tokenizer.json');
    const isWhole = (await fileExists(whole)) || !(await fileExists(join(folder, 'merges.txt')));
    const tokenizer = isWhole ? await readModelJson(whole) : await fromMerges(folder, parsed.data);
    try {
      return new TextTokenizer(new LibraryTokenizer(tokenizer, parsed.data), parsed.data);
    } catch (error) {
      throw new InvalidInput(`the tokenizer in ${folder} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Id of the token that begins a text, where the configuration names one. */
  get bosId(): number | undefined {
    return this.config.bos_token ? this.library.token_to_id(this.config.bos_token) : undefined;
  }

  /** `special`: with the tokens that the model's texts begin and end with. */
  encode(text: string, { special }: { special: boolean }): number[] {
    const { ids } = this.library.encode(text, { add_special_tokens: special });
    // The library's own post-processor may have put it there.
    const begins = special && this.config.add_bos_token && this.bosId !== undefined && ids[0] !== this.bosId;
    return begins ? [this.bosId, ...ids] : ids;
  }

  /** Words without special tokens. */
  decode(ids: readonly number[]): string {
    return ids.length === 0 ? '' : this.library.decode([...ids], { skip_special_tokens: true });
  }
}

const vocabulary = z.record(z.string(), z.number());

/** GPT-2's byte-level pairs (Radford et al. 2019) as `tokenizer.json` has them. */
async function fromMerges(folder: string, config: Config): Promise<unknown> {
  const file = join(folder, 'vocab.json');
  const parsed = vocabulary.safeParse(await readModelJson(file));
  if (!parsed.success) throw new InvalidInput(`${file}: ${z.prettifyError(parsed.error)}`);
  const lines = (await readFile(join(folder, 'merges.txt'), 'utf8')).split('\n');
  const special = new Set([config.bos_token, config.eos_token, config.unk_token, config.pad_token]);
  const added = [...special].flatMap((content) => {
    const id = content ? parsed.data[content] : undefined;
    return !content || id === undefined
      ? []
      : [{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: true }];
  });
  return {
    version: '1.0',
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: config.add_prefix_space, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab: parsed.data,
      merges: lines.filter((line, i) => line.trim() !== '' && !(i === 0 && line.startsWith('#version'))),
    },
  };
}
