import { copiedNgrams } from './copied-ngrams.js';
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
  expect(copiedNgrams(['It should be red with a big tail'], training)).toEqual({ n: 4, share: 3 / 5, verbatim: 0, texts: 1 });
  expect(copiedNgrams(['add TWO eyes', 'something else'], training)).toEqual({ n: 4, share: 0, verbatim: 1, texts: 2 });
  expect(copiedNgrams([], training)).toEqual({ n: 4, share: 0, verbatim: 0, texts: 0 });
});
