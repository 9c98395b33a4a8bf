import { markup, type Markup } from './escape-html.js';
import { direction, directionNote, formatDelta, formatInterval, formatP, formatScore, formatSeconds, NONE } from '../format.js';
import {
  ESTIMANDS,
  type ArmResult,
  type ComparisonResult,
  type Estimand,
  type EstimandResult,
  type ResultsDocument,
} from '../results-document.js';
import type { Timings } from '../timings.js';

const ESTIMAND_TITLES: Record<Estimand, string> = {
  fixed: 'fixed: last round, no selection',
  best: 'best: the selector’s pick',
  stopped: 'stopped: the stop policy’s pick',
};

/** One metric over all arms, the three estimands side by side. */
export function armTable(doc: ResultsDocument, metric: string, timings: Timings | null): Markup {
  const caption = metric === doc.primary ? 'the primary score' : 'secondary; p values Holm-corrected over all arms and secondary scores';
  const selects = metric === doc.selector ? '; it picks the best round, so its own “best” gain cannot be negative' : '';
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="Arms by ${metric}">
    <table class="arms">
      <caption>
        <strong>${metric}</strong
        >, ${caption}${directionNote(metric)}${selects}
      </caption>
      <thead>
        <tr>
          <td colspan="3"></td>
          ${ESTIMANDS.map((e) => markup`<th scope="colgroup" colspan="3" class="group">${ESTIMAND_TITLES[e]}</th>`)}
        </tr>
        <tr>
          <th scope="col">arm</th>
          <th scope="col">n<span class="minor">generator calls</span>${timings && markup`<span class="minor">compute</span>`}</th>
          <th scope="col">mean</th>
          ${ESTIMANDS.map(
            () =>
              markup`<th scope="col" class="group">over round 0<span class="minor">win / tie / loss</span></th>
                <th scope="col">over control</th>
                <th scope="col">over placebo</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${doc.arms.map((arm) => row(arm, doc, metric, timings))}
      </tbody>
    </table>
  </div>`;
}

function row(arm: ArmResult, doc: ResultsDocument, metric: string, timings: Timings | null): Markup {
  const scores = arm.scores[metric]!;
  const cost = timings?.arms[arm.name];
  return markup`<tr>
    <th scope="row">${arm.name} ${role(arm, doc)}</th>
    <td>
      ${scores.fixed.n}<span class="minor">${arm.generatorCalls} calls</span>
      ${timings && markup`<span class="minor">${cost ? formatSeconds(cost.seconds) : NONE}</span>`}
      ${cost && cost.usd !== null && markup`<span class="minor">$${cost.usd.toFixed(2)}</span>`}
    </td>
    <td>${formatScore(scores.mean, metric)}<span class="minor">from ${formatScore(scores.round0Mean, metric)}</span></td>
    ${ESTIMANDS.map((e) => estimandCells(scores[e], metric))}
  </tr>`;
}

function role(arm: ArmResult, doc: ResultsDocument): Markup {
  if (arm.oracle)
    return markup`<span class="tag oracle">oracle</span><span class="minor">saw the true picture:<br />an upper reference</span>`;
  if (arm.name === doc.control) return markup`<span class="minor">fresh seeds</span>`;
  if (arm.swap === 'picture') return markup`<span class="minor">${arm.placeboOf} given another<br />item’s picture</span>`;
  return arm.placeboOf === null ? markup`` : markup`<span class="minor">placebo of ${arm.placeboOf}</span>`;
}

function estimandCells(result: EstimandResult, metric: string): Markup {
  return markup`<td class="group ${direction(result.ci95)}">
      <strong>${formatDelta(result.gainMean, metric)}</strong
      ><span class="minor">${result.ci95 ? formatInterval(result.ci95, metric) : NONE}</span
      ><span class="minor">${result.wins} / ${result.ties} / ${result.losses}</span>
    </td>
    ${comparisonCell(result.vsControl, metric)}${comparisonCell(result.vsPlacebo, metric)}`;
}

function comparisonCell(comparison: ComparisonResult | null | undefined, metric: string): Markup {
  if (!comparison) return markup`<td>${NONE}</td>`;
  return markup`<td class="${direction(comparison.ci95)}">
    <strong>${formatDelta(comparison.mean, metric)}</strong
    ><span class="minor">${comparison.ci95 ? formatInterval(comparison.ci95, metric) : NONE}</span
    ><span class="minor">p ${formatP(comparison.pAdjusted)}</span>
  </td>`;
}
