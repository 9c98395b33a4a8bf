import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import type { Tokens } from '../../core/types.js';
import { readClipTokenizer, readSpecialTokens } from './clip-vocabulary.js';
import { readModelJson } from './model-json.js';
import type { WeightedText } from './prompt-weights.js';

const configSchema = z.looseObject({
  // transformers writes 1e30 for "no limit".
  model_max_length: z.number().positive().default(77),
});

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
  /** Of each id; absent where all weigh 1. */
  weights?: number[];
}

interface Token {
  id: number;
  weight: number;
}

/** CLIP's byte-pair tokenizer, padding and cutting as transformers does and counting what it cuts. */
export class ClipTokenizer {
  readonly maxLength: number;
  private readonly padId: number;
  /** What an empty text is: the tokens that begin and end every text. */
  private readonly framing: number[];

  /** @throws InvalidInput when the padding token is not in the vocabulary. */
  constructor(
    private readonly tokenizer: TokenizerLibrary,
    maxLength: number,
    pad: string,
  ) {
    this.maxLength = Math.min(maxLength, CLIP_CONTEXT);
    const padId = tokenizer.token_to_id(pad);
    if (padId === undefined) throw new InvalidInput(`the tokenizer's padding token ${JSON.stringify(pad)} is not in its vocabulary`);
    this.padId = padId;
    this.framing = tokenizer.encode('').ids;
  }

  /**
   * Reads `tokenizer_config.json` and, beside it, `tokenizer.json` or what older exports have in its place (`vocab.json`, `merges.txt`).
   * Throws InvalidInput, which names the file, where one is missing or cannot be used.
   */
  static async load(folder: string): Promise<ClipTokenizer> {
    const configFile = join(folder, 'tokenizer_config.json');
    const raw = await readModelJson(configFile);
    const config = configSchema.safeParse(raw);
    if (!config.success) throw new InvalidInput(`${configFile}: ${z.prettifyError(config.error)}`);
    const special = await readSpecialTokens(folder, config.data);
    const tokenizer = await readClipTokenizer(folder, config.data, special);
    try {
      const { pad_token: pad = special.eos_token } = special;
      return new ClipTokenizer(new LibraryTokenizer(tokenizer, config.data), config.data.model_max_length, pad);
    } catch (error) {
      if (error instanceof InvalidInput) throw error;
      throw new InvalidInput(`the tokenizer in ${folder} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }

  /** One context's worth; what does not fit is cut and counted. */
  encode(text: string | readonly WeightedText[]): EncodedPrompt {
    return this.encodeWindows(text, 1)[0]!;
  }

  /** As many contexts as it takes, each with its own start and end; what `most` of them do not hold is cut and counted in the last. */
  encodeWindows(text: string | readonly WeightedText[], most = Infinity): EncodedPrompt[] {
    const content = this.tokens(text);
    const room = this.maxLength - this.framing.length;
    const windows: EncodedPrompt[] = [];
    do {
      const at = windows.length * room;
      const cut = windows.length + 1 === most ? Math.max(0, content.length - at - room) : 0;
      windows.push(this.frame(content.slice(at, at + room), cut));
    } while (windows.length < most && windows.length * room < content.length);
    return windows;
  }

  /** What stands before a text: one token for CLIP, none for SigLIP. */
  private get starts(): number[] {
    return this.framing.slice(0, -1);
  }

  private tokens(text: string | readonly WeightedText[]): Token[] {
    const parts = typeof text === 'string' ? [{ text, weight: 1 }] : text;
    return parts.flatMap(({ text: part, weight }) =>
      this.tokenizer
        .encode(part)
        .ids.slice(this.starts.length, -1)
        .map((id) => ({ id, weight })),
    );
  }

  private frame(content: Token[], cut: number): EncodedPrompt {
    const { starts } = this;
    const ids = [...starts, ...content.map(({ id }) => id), this.framing.at(-1)!];
    const used = ids.length;
    while (ids.length < this.maxLength) ids.push(this.padId);
    if (content.every(({ weight }) => weight === 1)) return { ids, used, cut };
    return { ids, used, cut, weights: ids.map((_, i) => content[i - starts.length]?.weight ?? 1) };
  }
}
