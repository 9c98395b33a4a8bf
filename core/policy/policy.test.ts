import fc from 'fast-check';
import { emptyBudget, finished, reserve, shareOf, started } from './budget.js';
import type { RefinedPrompt } from '../types.js';
import { findLeak } from './leak.js';
import { applyGlossary, joinPrompt, promptText, refiners, shownPrompt } from './refine.js';
import { bestRound, gated, stopReason } from './stop.js';

const OFF = { target: null, patience: null, minGain: 0 };
const score = fc.double({ min: -1, max: 1, noNaN: true });

test('the best round has the highest score and is the earliest of equals', () => {
  fc.assert(
    fc.property(fc.array(score, { minLength: 1 }), (scores) => {
      expect(bestRound(scores)).toBe(scores.indexOf(Math.max(...scores)));
    }),
  );
});

test('without a stop policy every arm runs its rounds and no more', () => {
  fc.assert(
    fc.property(fc.array(score, { minLength: 1, maxLength: 8 }), fc.integer({ min: 0, max: 8 }), (scores, rounds) => {
      expect(stopReason(scores, rounds, OFF)).toBe(scores.length > rounds ? 'rounds' : null);
    }),
  );
});

test('an arm stops at the target, and when patience runs out', () => {
  expect(stopReason([0.2, 0.95], 5, { ...OFF, target: 0.9 })).toBe('target');
  expect(stopReason([0.95], 5, { ...OFF, target: 0.9 })).toBe('target');
  expect(stopReason([0.5, 0.4], 5, { ...OFF, patience: 1 })).toBe('patience');
  expect(stopReason([0.5, 0.4, 0.6], 5, { ...OFF, patience: 2 })).toBeNull();
  expect(stopReason([0.5, 0.4, 0.45], 5, { ...OFF, patience: 2 })).toBe('patience');
  // A new best that is not better by min_gain is no gain, but later rounds are measured against it.
  expect(stopReason([0.5, 0.52], 5, { target: null, patience: 1, minGain: 0.05 })).toBe('patience');
});

test('an item that is good already is gated', () => {
  expect(gated(0.9, 0.9)).toBe(true);
  expect(gated(0.89, 0.9)).toBe(false);
  expect(gated(1, null)).toBe(false);
});

test('refiners order caption and feedback', () => {
  const caption = { text: 'a cat' };
  const feedback = [{ text: 'one' }, { text: 'two' }];
  const texts = ({ parts }: { parts: Array<{ text?: string }> }) => parts.map((p) => p.text);
  expect(texts(refiners.append(caption, feedback))).toEqual(['a cat', 'one', 'two']);
  expect(texts(refiners.prepend(caption, feedback))).toEqual(['two', 'one', 'a cat']);
  expect(texts(refiners.replace(caption, feedback))).toEqual(['two']);
  for (const refine of Object.values(refiners)) expect(texts(refine(caption, []))).toEqual(['a cat']);
});

test('a prompt of one text is that text; more are joined as sentences', () => {
  expect(joinPrompt(['a cat'])).toBe('a cat');
  expect(joinPrompt(['a cat', 'It should be red.', 'Add a hat'])).toBe('a cat. It should be red. Add a hat');
  expect(joinPrompt(['what a cat!', '', ' red '])).toBe('what a cat! red');
});

test('items in any order of starting and ending never take more images than the budget, and leave none half done', () => {
  const item = fc.record({ images: fc.integer({ min: 0, max: 7 }), endsAfter: fc.integer({ min: 0, max: 5 }) });
  fc.assert(
    fc.property(fc.array(item, { maxLength: 40 }), fc.integer({ min: 0, max: 100 }), (items, limit) => {
      const limits = { images: limit, seconds: null, usd: null };
      let state = emptyBudget();
      const running: typeof items = [];
      for (const next of items) {
        while (reserve(state, limits, 7) === 'wait') state = finished(state, 7, { images: running.shift()!.images, seconds: 1, usd: 0 });
        if (reserve(state, limits, 7) === 'reached') break;
        state = started(state, 7);
        running.push(next);
        expect(state.spent.images + state.reservedImages).toBeLessThanOrEqual(limit);
      }
      while (running.length > 0) state = finished(state, 7, { images: running.shift()!.images, seconds: 1, usd: 0 });
      expect(state.spent.images).toBeLessThanOrEqual(limit);
      expect(state.reservedImages).toBe(0);
      expect(state.running).toBe(0);
    }),
  );
});

test('a budget in seconds lets one item go ahead and stops by the mean', () => {
  const limits = { images: null, seconds: 25, usd: null };
  let state = emptyBudget();
  expect(reserve(state, limits, 7)).toBe('start');
  state = started(state, 7);
  expect(reserve(state, limits, 7)).toBe('wait');
  state = finished(state, 7, { images: 7, seconds: 10, usd: 0 });
  expect(reserve(state, limits, 7)).toBe('start');
  state = finished(started(state, 7), 7, { images: 7, seconds: 10, usd: 0 });
  expect(reserve(state, limits, 7)).toBe('reached');
});

test('shares of a budget add up to it, and have room for as many whole items', () => {
  const sizesOf = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(sizesOf, fc.nat(100_000), fc.integer({ min: 1, max: 50 }), (sizes, images, worstCase) => {
      const total = sizes.reduce((a, b) => a + b, 0);
      let from = 0;
      const shares = sizes.map((n) => {
        const share = shareOf({ images, seconds: null, usd: null }, [from, from + n], total, worstCase);
        from += n;
        return share.images!;
      });
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
      expect(shares.reduce((a, b) => a + b, 0)).toBe(images);
      expect(shares.reduce((sum, share) => sum + Math.floor(share / worstCase), 0)).toBe(Math.floor(images / worstCase));
    }),
  );
});

test('blend weighs caption and feedback, chunk keeps one text whole, and the glossary mends words in all of them', () => {
  const caption = { text: 'a Pokemon' };
  const feedback = [{ text: 'Red pokemons, one pokemon.' }, { text: 'Add a hat' }];
  const glossary = { pokemon: 'creature', hat: 'cap' };
  const read = (refined: RefinedPrompt) =>
    promptText(
      refined,
      refined.parts.map((p) => p.text!),
      glossary,
    );
  expect(read(refiners.append(caption, feedback))).toBe('a creature. Red pokemons, one creature. Add a cap');
  expect(read(refiners.chunk(caption, feedback))).toEqual({ chunk: 'a creature. Red pokemons, one creature. Add a cap' });
  expect(read(refiners.blend(caption, feedback, 0.25))).toEqual({
    blend: [
      { text: 'a creature', weight: 0.75 },
      { text: 'Red pokemons, one creature. Add a cap', weight: 0.25 },
    ],
  });
  expect(read(refiners.blend(caption, []))).toBe('a creature');
  expect(shownPrompt(read(refiners.blend(caption, feedback, 0.25)))).toBe(
    'a creature (weight 0.75) + Red pokemons, one creature. Add a cap (weight 0.25)',
  );
});

test('a glossary takes the longest entry, leaves parts of words alone and does not look at what it put in', () => {
  expect(applyGlossary('A red Pokemon card.', { pokemon: 'creature', 'pokemon card': 'pokemon' })).toBe('A red pokemon.');
  expect(applyGlossary('$pokemon! (a.b)', { pokemon: 'x', 'a.b': 'y' })).toBe('$x! (y)');
});

test('a leak is found however far the true picture lies behind, and none where it does not', () => {
  const d = (name: string) => `sha256:${name}` as const;
  const parents = new Map([
    [d('features'), [d('picture')]],
    [d('picture'), [d('feedback'), d('caption')]],
    [d('feedback'), [d('true')]],
  ]);
  expect(findLeak([d('features')], parents, d('true'))).toEqual([d('features'), d('picture'), d('feedback'), d('true')]);
  expect(findLeak([d('true')], new Map(), d('true'))).toEqual([d('true')]);
  expect(findLeak([d('features')], new Map([[d('features'), [d('picture')]]]), d('true'))).toBeNull();
});
