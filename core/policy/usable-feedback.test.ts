import { ModelOutputInvalid } from '../errors.js';
import { PROMPT_TEMPLATES } from '../prompt-templates.js';
import { checkFeedback } from './usable-feedback.js';

/** 17 words. */
const LONG = 'the ball should be green and have two eyes and a long tail with a tuft of hair';

const asked = { caption: 'a cartoon ball with a smile on its face', instructions: 'Say in one or two short sentences what should change.' };

test.each([
  ['nothing', '', 'nothing', 'empty'],
  ['blanks and signs', ' \n...!? ', 'nothing', 'empty'],
  ["the paper's untuned OPT", "You're trying to make a simple, simple, simple, simple", 'the same over and over (simple)', 'repeating'],
  ['a phrase again and again', 'It is red. It is red. It is red. It is red.', 'the same over and over (it is red)', 'repeating'],
  [
    'a long phrase three times',
    'It has a white background. It has a white background. It has a white background.',
    'the same over and over',
    'repeating',
  ],
  ['a phrase of 17 words twice', `${LONG}, ${LONG}`, `the same over and over (${LONG})`, 'repeating'],
  ['one long word', `A${'a'.repeat(63)}`, 'the same over and over (a)', 'repeating'],
  ['a word that does not end', `It is ${'blob'.repeat(12)}`, 'the same over and over (blob)', 'repeating'],
  ['signs of a script without blanks', '红红红红', 'the same over and over (红)', 'repeating'],
  ['the caption', 'A cartoon ball, with a smile on its face!', 'the caption again', 'caption_echo'],
  ['a part of the instructions', 'say in one or two short sentences', 'its instructions again', 'instructions_echo'],
  [
    'the instructions and more',
    'Sure. Say in one or two short sentences what should change. Red',
    'its instructions again',
    'instructions_echo',
  ],
])('%s is no feedback', (_, text, problem, reason) => {
  const error = thrownBy(() => checkFeedback(text, asked));
  expect(error).toBeInstanceOf(ModelOutputInvalid);
  expect(error).toMatchObject({ reason, message: expect.stringContaining(problem) });
});

const filled = (template: string) => template.replace('{caption}', asked.caption).replace('{image}', '');
test.each([
  ["BLIP-2's whole prompt", PROMPT_TEMPLATES['paper-blip2'], filled(PROMPT_TEMPLATES['paper-blip2'])],
  ["OPT's whole prompt", PROMPT_TEMPLATES['paper-opt'], filled(PROMPT_TEMPLATES['paper-opt'])],
  ["OPT's prompt up to the caption", PROMPT_TEMPLATES['paper-opt'], filled(PROMPT_TEMPLATES['paper-opt'].split('### Image')[0]!)],
  ['the caption under its heading', PROMPT_TEMPLATES['paper-opt'], `### Caption:\n${asked.caption}\n\n### Image:`],
  ['the caption twice', PROMPT_TEMPLATES['paper-blip2'], `${asked.caption}. ${asked.caption}.`],
])('%s, as it was given, is no feedback', (_, template, text) => {
  const instructions = template.replace('{caption}', ' ').replace('{image}', ' ');
  expect(() => checkFeedback(text, { ...asked, instructions })).toThrow(/wrote (its instructions|the caption) again/);
  expect(() => checkFeedback(`${asked.caption}, but red`, { ...asked, instructions })).not.toThrow();
});

test.each([
  'The smiley face is too small and the ball is too large.',
  // The paper's tuned OPT says the same twice, and is right.
  'A Pokemon green dragon with yellow circles and a long tail with a white background. It has a white background. It has a green tail with some yellow circles and a white background.',
  'very very very big',
  'It is soooooooo big, and its ground should be #000000000000.',
  'a wooooooow of a tail, hahahahaha',
  'a smile on its face',
  '8 legs',
  '黄色い',
])('%s is feedback', (text) => {
  expect(() => checkFeedback(text, asked)).not.toThrow();
});

test('a rewritten prompt may be the caption, and an answer that is no use was billed all the same', () => {
  expect(() => checkFeedback(asked.caption, { ...asked, rewrites: true })).not.toThrow();
  expect(thrownBy(() => checkFeedback('', { ...asked, usd: 0.25 }))).toMatchObject({ usd: 0.25 });
});

function thrownBy(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}
