import { METRICS } from '../../../core/item-plan.js';
import type { ResultsDocument } from '../results-document.js';
import { markup, type Markup } from './escape-html.js';
import { section, textTable } from './findings.js';

/** What the words and numbers mean. */
export function howToRead(doc: ResultsDocument): Markup {
  const words: Array<[string, string]> = [
    [
      'Control',
      'The same caption again with fresh seeds. An arm that made k pictures of an item is compared with the control’s first k draws of it.',
    ],
    [
      'Placebo',
      'Feedback that belongs to another item. What an arm gains over its placebo comes from what the feedback says, not from there being more words.',
    ],
    ...(doc.arms.some(({ swap }) => swap === 'picture')
      ? [
          [
            'Another item’s picture',
            'The same critic, with this item’s caption and another item’s picture of the same round. Where its feedback does no worse, it does not look at the picture.',
          ] satisfies [string, string],
        ]
      : []),
    ...(doc.recipe.arms.some(({ candidates }) => candidates !== undefined)
      ? [
          [
            'Candidates',
            `Of several texts a round the one is kept whose picture ${doc.selector} likes best; each is a generator call. The control chooses likewise: round by round, the best of as many draws.`,
          ] satisfies [string, string],
        ]
      : []),
    [
      'Oracle',
      'An arm whose feedback was written by someone or something that saw the true picture. It shows how far feedback could get; it is no rival to the others.',
    ],
    [
      'fixed',
      'The arm’s last round against round 0, and against the mean of the control’s draws. Nothing is selected. For the control itself: the mean of its draws.',
    ],
    [
      'best',
      `The round that ${doc.selector} likes best, against the control’s best of as many pictures. The selector never sees the true picture.`,
    ],
    ['stopped', 'The round that the recipe’s stop policy returned.'],
    ...doc.metrics.flatMap((metric): Array<[string, string]> => (METRICS[metric] ? [[metric, METRICS[metric].calibration]] : [])),
    [
      'Intervals',
      '95%, over items: bias-corrected and accelerated bootstrap of paired differences (Efron 1987), 10,000 resamples, seeded. A win is a difference above 0.',
    ],
    [
      'p values',
      'Sign-flip permutation test of the same differences, two-sided; exact up to 16 items. Holm-corrected: the primary score over the learned arms where there are several, secondary scores over all arms and secondary scores.',
    ],
  ];
  return markup`<section aria-labelledby="read">
    <h2 id="read">How to read this</h2>
    <dl class="read">
      ${words.map(
        ([word, meaning]) =>
          markup`<div>
            <dt>${word}</dt>
            <dd>${meaning}</dd>
          </div>`,
      )}
    </dl>
  </section>`;
}

/** Models, runtime and recipe: what it takes to get the same pictures again. */
export function provenance(doc: ResultsDocument): Markup {
  const { engine, version, provider, precision, batching } = doc.runtime;
  const models = Object.entries(doc.models).map(([name, { digest, trainedOn }]) => [
    markup`<code>${name}</code>`,
    markup`<code>${digest}</code>`,
    trainedOn,
  ]);
  return section(
    'made',
    'What it was made with',
    `${engine} ${version} on ${provider}, ${precision}, batching ${batching}. The same recipe, models and runtime give the same pictures.`,
    markup`${textTable('Models', ['model', 'digest', 'items trained on'], models)}
      <details>
        <summary>the resolved recipe</summary>
        <pre tabindex="0">${JSON.stringify(doc.recipe, null, 2)}</pre>
      </details>`,
  );
}
