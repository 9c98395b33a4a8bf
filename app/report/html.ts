import { createHash } from 'node:crypto';
import type { Digest } from '../../core/types.js';
import { armTable } from './arm-table.js';
import { CLIENT_SCRIPT } from './client-script.js';
import { markup, raw, type Markup } from './escape-html.js';
import { forestPlot } from './forest-plot.js';
import { formatSeconds } from './format.js';
import { headline } from './headline.js';
import { itemAnchor, itemCard } from './item-card.js';
import type { InlinePicture } from './pictures.js';
import type { ResultsDocument } from './results-document.js';
import { STYLES } from './styles.js';
import type { Timings } from './timings.js';

/** The report as one file that needs no network: pictures inlined, and a policy under which nothing but its own script can run. */
export function reportHtml(doc: ResultsDocument, pictures: Map<Digest, InlinePicture>, timings: Timings | null): string {
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${sha256Base64(CLIENT_SCRIPT)}'; base-uri 'none'; form-action 'none'`;
  const secondary = doc.metrics.filter((m) => m !== doc.primary);
  return markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="generator" content="${doc.software.name} ${doc.software.version}" />
        <title>${doc.recipe.name}: does the feedback pay? (${doc.runId})</title>
        <link rel="icon" href="data:," />
        <style>${raw(STYLES)}</style>
      </head>
      <body>
        <a class="skip" href="#items">Skip to the items</a>
        ${top(doc, timings)}
        <main>
          <section aria-labelledby="gains">
            <h2 id="gains">What each arm gains</h2>
            <p class="lead">
              Last round, nothing selected. Feedback pays only where the interval over the control <em>and</em> the one over its placebo lie
              above 0: more draws alone, or any other words, would otherwise do as well.
            </p>
            ${forestPlot(doc) ?? markup`<p class="empty">No item has a result yet.</p>`}
          </section>
          <section aria-labelledby="arms">
            <h2 id="arms">Arms</h2>
            <p class="lead">Mean paired differences with 95% intervals; bold colour where the interval excludes 0. ${timings && 'Compute counts every item and attempt, feedback and scoring included.'}</p>
            ${armTable(doc, doc.primary, timings)}
            ${
              secondary.length > 0 &&
              markup`<details>
                <summary>${secondary.length} secondary ${secondary.length > 1 ? 'scores' : 'score'}: ${secondary.join(', ')}</summary>
                <div class="items">${secondary.map((m) => armTable(doc, m, null))}</div>
              </details>`
            }
          </section>
          <section aria-labelledby="items">
            <h2 id="items">Items</h2>
            <p class="lead">Scores are ${doc.primary}; beside them the difference to round 0.</p>
            ${tools(doc)}
            <div class="items" id="item-list">${doc.items.map((item) => itemCard(item, doc, pictures))}</div>
          </section>
          ${lists(doc)} ${howToRead(doc)} ${provenance(doc)}
        </main>
        <footer>${doc.software.name} ${doc.software.version}, run ${doc.runId}</footer>
        <script>${raw(CLIENT_SCRIPT)}</script>
      </body>
    </html>
`.toString();
}

function top(doc: ResultsDocument, timings: Timings | null): Markup {
  const { sentence, notes } = headline(doc);
  const states = [...new Set(doc.items.map((i) => i.state))].map((s) => [s, doc.items.filter((i) => i.state === s).length] as const);
  const facts: Array<[string, string | number]> = [
    [`of ${doc.items.length} items in the means`, doc.items.length - doc.excluded.length],
    ...states.map(([state, count]): [string, number] => [state, count]),
    ...(timings ? [['of compute', formatSeconds(timings.total.seconds)] as [string, string]] : []),
    ...(timings && timings.total.usd !== null ? [['spent', `$${timings.total.usd.toFixed(2)}`] as [string, string]] : []),
  ];
  return markup`<header class="top">
    <p class="eyebrow">${doc.recipe.name}, run ${doc.runId}</p>
    <h1 id="headline">${sentence}</h1>
    ${
      notes.length > 0 &&
      markup`<ul class="notes">
        ${notes.map((n) => markup`<li>${n}</li>`)}
      </ul>`
    }
    <dl class="facts">
      ${facts.map(
        ([label, value]) =>
          markup`<div>
            <dt>${label}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
  </header>`;
}

function tools(doc: ResultsDocument): Markup {
  const arms = doc.arms.map((a) => a.name);
  const option = (value: unknown, label: string) => markup`<option value="${JSON.stringify(value)}">${label}</option>`;
  const states = [...new Set(doc.items.map((i) => i.state))];
  return markup`<div class="tools" id="tools" hidden>
    <label
      >Order
      <select id="order">
        ${option([1, null], 'as in the dataset')}${arms.map((a) => markup`${option([-1, a], `${a}: largest gain first`)}${option([1, a], `${a}: largest loss first`)}`)}
      </select></label
    >
    <label
      >Show
      <select id="state">
        <option value="">all states</option>
        ${states.map((s) => markup`<option value="${s}">${s}</option>`)}
      </select></label
    ><span class="empty" id="shown" role="status"></span>
  </div>`;
}

function lists(doc: ResultsDocument): Markup {
  const link = (id: string) => markup`<a href="#${itemAnchor(id)}"><code>${id}</code></a>`;
  const byId = new Map(doc.items.map((i) => [i.id, i]));
  const uncurable = doc.items.filter((i) => i.state === 'uncurable');
  return markup`${
    uncurable.length > 0 &&
    markup`<section aria-labelledby="uncurable">
      <h2 id="uncurable">Uncurable items</h2>
      <p class="lead">
        Neither the oracle’s feedback nor any draw of the control improved them: the caption, or the generator, is at its end. They stand in
        the means.
      </p>
      <ul>
        ${uncurable.map((i) => markup`<li>${link(i.id)} ${i.caption}</li>`)}
      </ul>
    </section>`
  }
  ${
    doc.excluded.length > 0 &&
    markup`<section aria-labelledby="left-out">
      <h2 id="left-out">Left out of every mean</h2>
      <p class="lead">Items that did not finish, and items that a model in use was trained on.</p>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="left-out">
        <table class="text">
          <thead>
            <tr>
              <th scope="col">item</th>
              <th scope="col">caption</th>
              <th scope="col">why</th>
            </tr>
          </thead>
          <tbody>
            ${doc.excluded.map(
              (e) =>
                markup`<tr>
                  <th scope="row">${link(e.id)}</th>
                  <td>${byId.get(e.id)?.caption}</td>
                  <td>${e.reason}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </section>`
  }`;
}

function howToRead(doc: ResultsDocument): Markup {
  const words: Array<[string, string]> = [
    [
      'Control',
      'The same caption again with fresh seeds. An arm that made k pictures of an item is compared with the control’s first k draws of it.',
    ],
    [
      'Placebo',
      'Feedback that belongs to another item. What an arm gains over its placebo comes from what the feedback says, not from there being more words.',
    ],
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
    [
      'Intervals',
      '95%, over items: bias-corrected and accelerated bootstrap of paired differences (Efron 1987), 10,000 resamples, seeded. A win is a difference above 0.',
    ],
    [
      'p values',
      'Sign-flip permutation test of the same differences, two-sided; exact up to 16 items. Secondary scores are Holm-corrected over all arms and secondary scores.',
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

function provenance(doc: ResultsDocument): Markup {
  const { engine, version, provider, precision, batching } = doc.runtime;
  return markup`<section aria-labelledby="made">
    <h2 id="made">What it was made with</h2>
    <p class="lead">
      ${engine} ${version} on ${provider}, ${precision}, batching ${batching}. The same recipe, models and runtime give the same pictures.
    </p>
    <div class="scroll" tabindex="0" role="region" aria-label="Models">
      <table class="text">
        <thead>
          <tr>
            <th scope="col">model</th>
            <th scope="col">digest</th>
            <th scope="col">items trained on</th>
          </tr>
        </thead>
        <tbody>
          ${Object.entries(doc.models).map(
            ([name, m]) =>
              markup`<tr>
                <th scope="row"><code>${name}</code></th>
                <td><code>${m.digest}</code></td>
                <td>${m.trainedOn}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <details>
      <summary>the resolved recipe</summary>
      <pre tabindex="0">${JSON.stringify(doc.recipe, null, 2)}</pre>
    </details>
  </section>`;
}

const sha256Base64 = (text: string): string => createHash('sha256').update(text).digest('base64');
