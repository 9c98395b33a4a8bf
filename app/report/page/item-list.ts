import { direction, formatDelta, formatScore, NONE, shortened } from '../format.js';
import type { ItemResult, ResultsDocument } from '../results-document.js';
import { markup, type Markup } from './escape-html.js';
import { gainsOf, itemCard, picture } from './item-card.js';
import type { ReportPictures } from './pictures.js';

/** Items one by one as cards, with what orders, filters and compares them. */
export function itemCards(items: readonly ItemResult[], doc: ResultsDocument, pictures: ReportPictures): Markup {
  return markup`${tools(items, doc, markup`<kbd>c</kbd> compare`)}
    <div class="items" id="item-list">${items.map((item) => itemCard(item, doc, pictures))}</div>
    ${comparison()}`;
}

/** Items as the rows of one table, for runs of thousands; each leads to its card on a page of its own. */
export function itemIndex(doc: ResultsDocument, pictures: ReportPictures, hrefOf: (id: string) => string): Markup {
  const arms = doc.arms.map(({ name }) => name);
  const cell = (gain: number | undefined) =>
    gain === undefined ? markup`<td>${NONE}</td>` : markup`<td class="${direction([gain, gain])}">${formatDelta(gain, doc.primary)}</td>`;
  const rows = doc.items.map((item) => {
    const gains = gainsOf(item, doc);
    const round0 = item.arms[0]?.rounds[0];
    const thumbnail = (digest: ItemResult['trueImage'] | undefined, alt: string) =>
      markup`<td>${digest && picture(pictures.get(digest), alt)}</td>`;
    return markup`<tr data-state="${item.state}" data-gains="${JSON.stringify(gains)}">
      <th scope="row"><a href="${hrefOf(item.id)}">${item.id}</a><span class="minor">${shortened(item.caption)}</span></th>
      ${thumbnail(item.trueImage, 'true picture')}${thumbnail(round0?.image, 'round 0')}
      <td><span class="tag ${item.state}">${item.state}</span></td>
      <td>${formatScore(round0?.scores[doc.primary], doc.primary)}</td>
      ${arms.map((arm) => cell(gains[arm]))}
    </tr>`;
  });
  return markup`${tools(doc.items, doc, markup`<kbd>Enter</kbd> open`)}
    <div class="scroll tall" tabindex="0" role="region" aria-label="All items">
      <table class="index">
        <thead>
          <tr>
            <th scope="col">item</th>
            <th scope="col">true</th>
            <th scope="col">round 0</th>
            <th scope="col">state</th>
            <th scope="col">at round 0</th>
            ${arms.map((arm) => markup`<th scope="col">${arm}</th>`)}
          </tr>
        </thead>
        <tbody id="item-list">
          ${rows}
        </tbody>
      </table>
    </div>`;
}

function tools(items: readonly ItemResult[], doc: ResultsDocument, act: Markup): Markup {
  const arms = doc.arms.map((a) => a.name);
  const option = (value: unknown, label: string) => markup`<option value="${JSON.stringify(value)}">${label}</option>`;
  const states = [...new Set(items.map((i) => i.state))];
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
    >
    <label>Find <input type="search" id="find" placeholder="words, an id" autocomplete="off" /></label>
    <span class="empty" id="shown" role="status"></span>
    <span class="empty keys"><kbd>j</kbd> <kbd>k</kbd> next, previous · ${act} · <kbd>/</kbd> find</span>
  </div>`;
}

/** Two pictures of an item side by side, or one over the other. Filled by the page's script. */
function comparison(): Markup {
  const chooser = (side: string) => markup`<label>${side} <select id="${side.toLowerCase()}"></select></label>`;
  return markup`<dialog id="comparison" aria-labelledby="comparison-title">
    <header>
      <h3 id="comparison-title"></h3>
      <button type="button" id="close">Close</button>
    </header>
    <div class="tools">
      ${chooser('Left')} ${chooser('Right')}
      <label><input type="checkbox" id="overlay" /> one over the other</label>
      <button type="button" id="flip" hidden>Flip</button>
      <span class="empty keys"><kbd>←</kbd> <kbd>→</kbd> picture · <kbd>j</kbd> <kbd>k</kbd> item · <kbd>o</kbd> over · <kbd>f</kbd> flip</span>
    </div>
    <div class="pair" id="pair"></div>
  </dialog>`;
}
