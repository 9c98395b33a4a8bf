import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import type { Tokens } from '../../core/types.js';
import { readModelJson } from './model-json.js';

/** A special token as transformers writes it: its text, or an object that holds it. */
const specialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)]);
const configSchema = z.looseObject({
  // transformers writes 1e30 for "no limit".
  model_max_length: z.number().positive().default(77),
  pad_token: specialToken.nullish(),
  eos_token: specialToken.nullish(),
});
type TokenizerConfig = z.infer<typeof configSchema>;

/** What is used of the library's class; its own declarations lead through path aliases that do not resolve outside it. */
interface TokenizerLibrary {
  encode(text: string): { ids: number[] };
  token_to_id(token: string): number | undefined;
}
const LibraryTokenizer = Tokenizer as unknown as new (tokenizer: unknown, config: unknown) => TokenizerLibrary;

/** CLIP's context, where the configuration sets no usable limit. */
const CLIP_CONTEXT = 77;

export interface EncodedPrompt extends Tokens {
  /** Exactly `maxLength` ids: start, content, end, then padding. */
  ids: number[];
}

/** CLIP's byte-pair tokenizer (`tokenizer.json`), padding and cutting as transformers does and counting what it cuts. */
export class ClipTokenizer {
  readonly maxLength: number;
  private readonly padId: number;

  /** @throws InvalidInput when the padding token is not in the vocabulary. */
  constructor(
    private readonly tokenizer: TokenizerLibrary,
    config: TokenizerConfig,
  ) {
    this.maxLength = Math.min(config.model_max_length, CLIP_CONTEXT);
    const pad = config.pad_token ?? config.eos_token ?? '<|endoftext|>';
    const padId = tokenizer.token_to_id(pad);
    if (padId === undefined) throw new InvalidInput(`the tokenizer's padding token ${JSON.stringify(pad)} is not in its vocabulary`);
    this.padId = padId;
  }

  /**
   * Reads `tokenizer.json` and, beside it, `tokenizer_config.json`.
   * Throws InvalidInput, which names the file, where one is missing or cannot be used.
   */
  static async load(folder: string): Promise<ClipTokenizer> {
    const file = join(folder, 'tokenizer.json');
    const [tokenizer, rawConfig] = await Promise.all([readModelJson(file), readModelJson(join(folder, 'tokenizer_config.json'))]);
    const config = configSchema.safeParse(rawConfig);
    if (!config.success) throw new InvalidInput(`${join(folder, 'tokenizer_config.json')}: ${z.prettifyError(config.error)}`);
    try {
      return new ClipTokenizer(new LibraryTokenizer(tokenizer, config.data), config.data);
    } catch (error) {
      if (error instanceof InvalidInput) throw error;
      throw new InvalidInput(`${file} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }

  /** One context's worth; what does not fit is cut and counted. */
  encode(text: string): EncodedPrompt {
    const { start, end, content } = this.tokens(text);
    return this.frame(start, content.slice(0, this.maxLength - 2), end, Math.max(0, content.length - (this.maxLength - 2)));
  }

  /** As many contexts as it takes, each with its own start and end; nothing is cut. */
  encodeWindows(text: string): EncodedPrompt[] {
    const { start, end, content } = this.tokens(text);
    const room = this.maxLength - 2;
    const windows: EncodedPrompt[] = [];
    for (let at = 0; at === 0 || at < content.length; at += room) windows.push(this.frame(start, content.slice(at, at + room), end, 0));
    return windows;
  }

  private tokens(text: string): { start: number; end: number; content: number[] } {
    const all = this.tokenizer.encode(text).ids;
    return { start: all[0]!, end: all.at(-1)!, content: all.slice(1, -1) };
  }

  private frame(start: number, content: number[], end: number, cut: number): EncodedPrompt {
    const ids = [start, ...content, end];
    const used = ids.length;
    while (ids.length < this.maxLength) ids.push(this.padId);
    return { ids, used, cut };
  }
}
