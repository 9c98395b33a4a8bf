import { createHash } from 'node:crypto';
import { formatSeconds } from '../format.js';
import { headline } from '../headline.js';
import type { ItemResult, ResultsDocument } from '../results-document.js';
import type { Timings } from '../timings.js';
import { CLIENT_SCRIPT } from './client-script.js';
import { markup, raw, type Content, type Markup } from './escape-html.js';
import { findings } from './findings.js';
import { itemAnchor } from './item-card.js';
import { itemCards, itemIndex } from './item-list.js';
import type { ReportPictures } from './pictures.js';
import { howToRead, provenance } from './reference.js';
import { STYLES } from './styles.js';

/** Up to here the report is one file that can be sent to somebody; above it a folder of pages and thumbnails. */
export const ONE_FILE_ITEMS = 200;
/** Items on one page of a folder. */
export const PAGE_ITEMS = 50;

export const isFolder = (doc: ResultsDocument): boolean => doc.items.length > ONE_FILE_ITEMS;

/** The report's pages, `index.html` first. They need no network, and a policy lets nothing but their own script run. */
export function reportPages(
  doc: ResultsDocument,
  pictures: ReportPictures,
  timings: Timings | null,
): Array<{ name: string; content: string }> {
  const pages = isFolder(doc) ? chunks(doc.items, PAGE_ITEMS) : [];
  const nameOf = (page: number) => `items-${String(page + 1).padStart(3, '0')}.html`;
  const pageOf = new Map(pages.flatMap((items, page) => items.map(({ id }) => [id, page] as const)));
  const hrefOf = (id: string) => `${pageOf.has(id) ? nameOf(pageOf.get(id)!) : ''}#${itemAnchor(id)}`;
  const index = layout(
    doc,
    'does the feedback pay?',
    markup`<a class="skip" href="#items">Skip to the items</a>
      ${top(doc, timings)}
      <main>
        ${findings(doc, timings, hrefOf)}
        <section aria-labelledby="items">
          <h2 id="items">Items</h2>
          <p class="lead">
            Scores are ${doc.primary}; beside them the difference to round 0. ${pages.length > 0 && 'Every item leads to its pictures.'}
          </p>
          ${pages.length > 0 ? itemIndex(doc, pictures, hrefOf) : itemCards(doc.items, doc, pictures)}
        </section>
        ${howToRead(doc)} ${provenance(doc)}
      </main>`,
  );
  const itemPages = pages.map((items, page) => {
    const turn = (to: number, label: string) => pages[to] && markup`<a href="${nameOf(to)}">${label}</a>`;
    const links = (where: string) => markup`<nav class="pages" aria-label="Pages, ${where}">
      <a href="index.html">Report</a> ${turn(page - 1, '← previous')} ${turn(page + 1, 'next →')}
    </nav>`;
    const title = `items ${page * PAGE_ITEMS + 1} to ${page * PAGE_ITEMS + items.length} of ${doc.items.length}`;
    const body = markup`<header class="top">
        <p class="eyebrow">${doc.recipe.name}, run ${doc.runId}</p>
        <h1>${title}</h1>
        ${links('above')}
      </header>
      <main>
        <h2 id="items">Items</h2>
        ${itemCards(items, doc, pictures)} ${links('below')}
      </main>`;
    return { name: nameOf(page), content: layout(doc, title, body) };
  });
  return [{ name: 'index.html', content: index }, ...itemPages];
}

/** A whole page around a body. */
export function layout(
  doc: ResultsDocument,
  title: string,
  body: Content,
  pictures: 'inline' | 'files' = isFolder(doc) ? 'files' : 'inline',
): string {
  const sources = pictures === 'files' ? "'self' file: data:" : 'data:';
  const policy = `default-src 'none'; img-src ${sources}; style-src 'unsafe-inline'; script-src 'sha256-${sha256Base64(CLIENT_SCRIPT)}'; base-uri 'none'; form-action 'none'`;
  return markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="generator" content="${doc.software.name} ${doc.software.version}" />
        <title>${doc.recipe.name}: ${title} (${doc.runId})</title>
        <link rel="icon" href="data:," />
        <style>${raw(STYLES)}</style>
      </head>
      <body>
        ${body}
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
      notes.length + doc.deviations.length > 0 &&
      markup`<ul class="notes">
        ${[...doc.deviations, ...notes].map((n) => markup`<li>${n}</li>`)}
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

function chunks(items: readonly ItemResult[], size: number): ItemResult[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

const sha256Base64 = (text: string): string => createHash('sha256').update(text).digest('base64');
