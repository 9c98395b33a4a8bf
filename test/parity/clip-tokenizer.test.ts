import { ClipTokenizer } from '../../engine/inference/clip-tokenizer.js';
import { golden, packPath } from './goldens.js';

interface Case {
  text: string;
  ids: number[];
  padded77: number[];
}
const { cases } = golden<{ cases: Case[] }>('tokenizer');

test.each(cases)('$text: the ids of transformers', async ({ text, ids, padded77 }) => {
  const tokenizer = await ClipTokenizer.load(packPath('diffusion/tokenizer'));
  expect(tokenizer.encode(text)).toEqual({ ids: padded77, used: Math.min(ids.length, 77), cut: Math.max(0, ids.length - 77) });
});
