import { copiedNgrams, distinctNgrams } from './copied-ngrams.js';
import { effectSize } from './effect-size.js';
import { varianceComponents } from './variance-components.js';

test('an effect size is the mean in standard deviations, and none where nothing varies', () => {
  expect(effectSize([1, 2, 3])).toBeCloseTo(2, 12);
  expect(effectSize([1])).toBeNull();
  expect(effectSize([0.3, 0.3, 0.3])).toBeNull();
});

test('variance components by hand; a negative estimate is 0', () => {
  // Means 1 and 3: mean square between 4, within 2, so (4 - 2) / 2 between.
  expect(
    varianceComponents([
      [0, 2],
      [2, 4],
    ]),
  ).toEqual({ between: 1, within: 2 });
  expect(
    varianceComponents([
      [0, 4],
      [4, 0],
    ]),
  ).toEqual({ between: 0, within: 8 });
  expect(varianceComponents([[1, 2]])).toBeNull();
  expect(varianceComponents([[1, 2], [3]])).toBeNull();
  expect(varianceComponents([[1], [3]])).toBeNull();
});

test('what is copied: n-grams whatever their case and punctuation, and whole texts', () => {
  const training = ['It should be red, with a long tail.', 'Add two eyes.'];
  // Of five 4-grams the first three stand in the training text.
  expect(copiedNgrams(['It should be red with a big tail'], training)).toEqual({
    ...{ n: 4, share: 3 / 5, verbatim: 0, texts: 1 },
    // Words: all but `big`. Pairs: all but those with it.
    ngrams: [7 / 8, 5 / 7, 4 / 6, 3 / 5].map((share, i) => ({ n: i + 1, share })),
  });
  expect(copiedNgrams(['add TWO eyes', 'something else'], training)).toMatchObject({ n: 4, share: 0, verbatim: 1, texts: 2 });
  expect(copiedNgrams([], training)).toMatchObject({ n: 4, share: 0, verbatim: 0, texts: 0 });
});

test('how texts vary: different texts, words and pairs of words', () => {
  // Words: make it red / make it blue: 4 of 6. Pairs: make it, it red, it blue: 3 of 4.
  expect(distinctNgrams(['Make it red.', 'make it blue'])).toEqual({ texts: 2, distinct: 2, distinct1: 4 / 6, distinct2: 3 / 4 });
  expect(distinctNgrams(['same words', 'same words', 'same words', 'same words'])).toMatchObject({
    texts: 4,
    distinct: 1,
    distinct1: 1 / 4,
  });
  expect(distinctNgrams([])).toEqual({ texts: 0, distinct: 0, distinct1: 0, distinct2: 0 });
});
