import { ModelOutputInvalid } from '../errors.js';
import { PROMPT_TEMPLATES } from '../prompt-templates.js';
import { checkFeedback } from './usable-feedback.js';

const asked = { caption: 'a cartoon ball with a smile on its face', instructions: 'Say in one or two short sentences what should change.' };

test.each([
  ['nothing', '', 'nothing'],
  ['blanks and signs', ' \n...!? ', 'nothing'],
  ["the paper's untuned OPT", "You're trying to make a simple, simple, simple, simple", 'the same over and over (simple)'],
  ['a phrase again and again', 'It is red. It is red. It is red. It is red.', 'the same over and over (it is red)'],
  [
    'a long phrase three times',
    'It has a white background. It has a white background. It has a white background.',
    'the same over and over',
  ],
  ['signs of a script without blanks', '红红红红', 'the same over and over (红)'],
  ['the caption', 'A cartoon ball, with a smile on its face!', 'the caption again'],
  ['a part of the instructions', 'say in one or two short sentences', 'its instructions again'],
  ['the instructions and more', 'Sure. Say in one or two short sentences what should change. Red', 'its instructions again'],
])('%s is no feedback', (_, text, problem) => {
  expect(() => checkFeedback(text, asked)).toThrow(problem);
  expect(() => checkFeedback(text, asked)).toThrow(ModelOutputInvalid);
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
  'a smile on its face',
  '8 legs',
  '黄色い',
])('%s is feedback', (text) => {
  expect(() => checkFeedback(text, asked)).not.toThrow();
});

test('a rewritten prompt may be the caption, and an answer that is no use was billed all the same', () => {
  expect(() => checkFeedback(asked.caption, { ...asked, rewrites: true })).not.toThrow();
  let thrown: unknown;
  try {
    checkFeedback('', { ...asked, usd: 0.25 });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ usd: 0.25 });
});
