import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';
import { ClipTokenizer } from './clip-tokenizer.js';

/** Knows the letters a and b and the word "ab"; lower-cases. */
const TOKENIZER = {
  version: '1.0',
  added_tokens: [
    { id: 6, content: '<s>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    { id: 7, content: '</s>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 7], cls: ['<s>', 6], trim_offsets: false, add_prefix_space: false },
  decoder: null,
  model: {
    type: 'BPE',
    unk_token: '</s>',
    continuing_subword_prefix: '',
    end_of_word_suffix: '</w>',
    vocab: { a: 0, b: 1, 'a</w>': 2, 'b</w>': 3, 'ab</w>': 4, '!': 5, '<s>': 6, '</s>': 7 },
    merges: ['a b</w>'],
  },
};

describe('ClipTokenizer', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
    await write({ model_max_length: 6, pad_token: '!' });
  });
  afterEach(() => rm(folder, { recursive: true }));
  const write = async (config: object) => {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(TOKENIZER));
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  };

  test('of a tokenizer that starts with nothing, as SigLIP has one, no word is lost', async () => {
    const template = [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }];
    const ends = { type: 'TemplateProcessing', single: template, pair: template, special_tokens: { '</s>': { id: '</s>', ids: [7], tokens: ['</s>'] } } }; // prettier-ignore
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...TOKENIZER, post_processor: ends }));
    const tokenizer = await ClipTokenizer.load(folder);
    expect(tokenizer.encode('ab a')).toEqual({ ids: [4, 2, 7, 5, 5, 5], used: 3, cut: 0 });
    expect(tokenizer.encode('a b a b a b a')).toEqual({ ids: [2, 3, 2, 3, 2, 7], used: 6, cut: 2 });
  });

  test('starts, ends and pads to the full length', async () => {
    expect((await ClipTokenizer.load(folder)).encode('AB a')).toEqual({ ids: [6, 4, 2, 7, 5, 5], used: 4, cut: 0 });
  });

  test('an empty text is start and end', async () => {
    expect((await ClipTokenizer.load(folder)).encode('')).toEqual({ ids: [6, 7, 5, 5, 5, 5], used: 2, cut: 0 });
  });

  test('keeps the end token and counts what it cuts', async () => {
    const tokenizer = await ClipTokenizer.load(folder);
    expect(tokenizer.encode('a a a a')).toEqual({ ids: [6, 2, 2, 2, 2, 7], used: 6, cut: 0 });
    expect(tokenizer.encode('ab a b a b ab ab')).toEqual({ ids: [6, 4, 2, 3, 2, 7], used: 6, cut: 3 });
  });

  test('the padding token may be an object, and the end token stands in for none', async () => {
    await write({ model_max_length: 4, pad_token: { content: '!', special: true } });
    expect((await ClipTokenizer.load(folder)).encode('').ids).toEqual([6, 7, 5, 5]);
    await write({ model_max_length: 4, eos_token: '</s>' });
    expect((await ClipTokenizer.load(folder)).encode('').ids).toEqual([6, 7, 7, 7]);
  });

  test('no limit in the configuration means the 77 of CLIP', async () => {
    await write({ model_max_length: 1e30, pad_token: '!' });
    expect((await ClipTokenizer.load(folder)).maxLength).toBe(77);
  });

  test('what cannot be used is refused by name', async () => {
    await write({ model_max_length: 6, pad_token: 'nobody' });
    await expect(ClipTokenizer.load(folder)).rejects.toThrow(/padding token "nobody"/);
    await write({ model_max_length: 'long' });
    await expect(ClipTokenizer.load(folder)).rejects.toThrow(/tokenizer_config.json.*model_max_length/s);
    await rm(join(folder, 'tokenizer.json'));
    await expect(ClipTokenizer.load(folder)).rejects.toThrow(InvalidInput);
  });
});
