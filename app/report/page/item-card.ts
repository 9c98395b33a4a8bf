import { itemKey } from '../../../core/ids.js';
import { gainBy } from '../../../core/item-plan.js';
import type { StopReason } from '../../../core/types.js';
import { markup, type Markup } from './escape-html.js';
import { formatDelta, formatScore, shortened } from '../format.js';
import type { ReportPicture, ReportPictures } from './pictures.js';
import type { ItemArmResult, ItemResult, ResultsDocument, RoundResult } from '../results-document.js';
import { exclusion, failureText } from '../results.js';

export const itemAnchor = (id: string): string => `item-${itemKey(id)}`;

/** An item's gains in the primary metric by arm; of repeats the first. */
export function gainsOf(item: ItemResult, doc: ResultsDocument): Record<string, number> {
  const known = item.arms.filter((arm) => arm.repeat === 0 && arm.gain[doc.primary] !== undefined);
  return Object.fromEntries(known.map((arm) => [arm.name, arm.gain[doc.primary]!]));
}

/** One item as in the paper's Tables 3 and 4: true picture, caption, round 0, then every arm's feedback and the picture made with it. */
export function itemCard(item: ItemResult, doc: ResultsDocument, pictures: ReportPictures): Markup {
  const round0 = item.arms[0]?.rounds[0];
  const gains = gainsOf(item, doc);
  const left = exclusion(item);
  const start =
    (item.trueImage || round0) &&
    markup`<section class="lane">
      <h4>start</h4>
      <div class="shots">
        ${
          item.trueImage &&
          markup`<figure data-shot="true picture">
            ${picture(pictures.get(item.trueImage), `true picture of ${item.id}`)}
            <figcaption><span class="shot-title">true picture</span></figcaption>
          </figure>`
        }
        ${round0 && shot(round0, undefined, 'round 0', item, 'round 0, from the caption alone', doc, pictures)}
      </div>
    </section>`;
  return markup`<article class="item" id="${itemAnchor(item.id)}" data-state="${item.state}" data-gains="${JSON.stringify(gains)}">
    <header>
      <h3>${item.caption.trim() === '' ? '(no caption)' : item.caption.length > CAPTION_SHOWN ? shortened(item.caption, CAPTION_SHOWN) : item.caption}</h3>
      ${item.caption.length > CAPTION_SHOWN && markup`<details class="whole"><summary>the whole caption (${item.caption.length} characters)</summary><p>${item.caption}</p></details>`}
      <code class="id">${item.id}</code>
      <span class="tag ${item.state}">${item.state}</span>
      ${start && markup`<button type="button" class="compare" hidden>Compare</button>`} ${left !== null && markup`<p class="why">Left out of every mean: ${left}</p>`}
    </header>
    ${start && markup`<div class="strip">${start}${item.arms.map((arm) => lane(arm, item, doc, pictures))}</div>`}
  </article>`;
}

/** Longer captions open on demand. */
const CAPTION_SHOWN = 300;

const WHY_NO_ROUND: Record<StopReason, string> = {
  rounds: 'The recipe asks for no round.',
  target: 'Round 0 reached the target.',
  patience: 'Stopped by patience.',
  gate: 'Good enough at round 0: no critic was asked.',
  feedback_ended: 'There is no feedback for this item.',
  failed: 'Failed before its first round.',
};

function lane(arm: ItemArmResult, item: ItemResult, doc: ResultsDocument, pictures: ReportPictures): Markup {
  const gain = arm.gain[doc.primary];
  const word = arm.name === doc.control ? 'draw' : 'round';
  const rounds = arm.rounds.slice(1);
  return markup`<section class="lane ${arm.oracle && 'is-oracle'}">
    <h4>
      ${arm.name}${arm.repeat > 0 && ` (repeat ${arm.repeat + 1})`}
      ${arm.oracle && markup`<span class="tag oracle">oracle</span>`}${arm.state === 'failed' && markup`<span class="tag failed">failed</span>`}${gain !== undefined && gainChip(gain, doc.primary)}
    </h4>
    ${rounds.length > 0 ? markup`<div class="shots">${rounds.map((r) => shot(r, arm, `${word} ${r.round}`, item, `${arm.name}, ${word} ${r.round}`, doc, pictures))}</div>` : !arm.failure && markup`<p class="empty">${WHY_NO_ROUND[arm.stopped.reason]}</p>`}
    ${arm.failure && markup`<p class="empty">${failureText(arm.failure)}</p>`}
  </section>`;
}

/** A gain says its direction by sign and arrow too, not by colour alone. */
function gainChip(gain: number, metric: string): Markup {
  const text = formatDelta(gain, metric);
  const tone = text.startsWith('+') ? 'gain' : text.startsWith('−') ? 'loss' : '';
  return markup`<span class="chip ${tone}" title="gain in ${metric}: last round (of the control: mean of its draws) minus round 0"
    >${tone === 'gain' ? '▲ ' : tone === 'loss' ? '▼ ' : ''}${text}</span
  >`;
}

function shot(
  round: RoundResult,
  arm: ItemArmResult | undefined,
  title: string,
  item: ItemResult,
  alt: string,
  doc: ResultsDocument,
  pictures: ReportPictures,
): Markup {
  const score = round.scores[doc.primary];
  const before = arm?.rounds[0]?.scores[doc.primary];
  const delta = score !== undefined && before !== undefined ? formatDelta(gainBy(doc.primary, score, before), doc.primary) : null;
  const tone = delta?.startsWith('+') ? 'gain' : delta?.startsWith('−') ? 'loss' : '';
  return markup`<figure data-shot="${arm ? `${arm.name}, ${title}` : title}">
    ${picture(pictures.get(round.image), `${alt}, for ${item.id}`)}
    <figcaption>
      <div class="score">
        <span class="shot-title">${title}</span
        ><span>${formatScore(score, doc.primary)}${delta !== null && markup` <span class="${tone}">${delta}</span>`}</span>
      </div>
      ${arm?.best.round === round.round && markup`<span class="tag" title="best round by ${doc.selector}">selector’s pick</span>`}
      ${round.tokens.cut > 0 && markup`<span class="tag cut">${round.tokens.cut} tokens cut off</span>`}
      ${round.feedback !== null && markup`<q>${round.feedback}</q>`}
      <details>
        <summary>details</summary>
        <dl>
          ${doc.metrics.map(
            (m) =>
              markup`<dt>${m}</dt>
                <dd>${formatScore(round.scores[m], m)}</dd>`,
          )}
          <dt>seed</dt>
          <dd>${round.seed}</dd>
          <dt>tokens</dt>
          <dd>${round.tokens.used} used, ${round.tokens.cut} cut</dd>
          <dt>prompt</dt>
          <dd>${round.prompt}</dd>
          ${
            round.candidates &&
            markup`<dt>chosen from</dt>
              ${round.candidates.map(({ feedback, score: liked }) => markup`<dd>${formatScore(liked, doc.selector)} <q>${feedback}</q></dd>`)}`
          }
        </dl>
      </details>
    </figcaption>
  </figure>`;
}

export function picture(shown: ReportPicture | undefined, alt: string): Markup {
  if (!shown || shown.src === null)
    return markup`<div class="missing" role="img" aria-label="${alt}: missing">picture ${shown?.problem ?? 'missing'}</div>`;
  return markup`<img src="${shown.src}" alt="${alt}" loading="lazy" decoding="async" />`;
}
