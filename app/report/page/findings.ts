import { feedbackTable, feedbackVerdicts } from '../feedback-facts.js';
import { formatDelta, formatInterval, formatSeconds, NONE, shortened } from '../format.js';
import type { ArmResult, ComparisonResult, ResultsDocument } from '../results-document.js';
import type { Timings } from '../timings.js';
import { armTable } from './arm-table.js';
import { computeChart, curveChart, forestChart, spreadChart } from './charts.js';
import { markup, type Content, type Markup } from './escape-html.js';

/** Rows of a list that a page shows; the whole of it stands in `report.json`. */
const ROWS_SHOWN = 100;

/** A section with a heading that can be linked to, and what must be known to read it. */
export function section(id: string, title: string, lead: Content, body: Content): Markup {
  return markup`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    <p class="lead">${lead}</p>
    ${body}
  </section>`;
}

/** A table of texts that scrolls by itself where the window is narrow. */
export function textTable(label: string, head: readonly string[], rows: readonly Content[][]): Markup {
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${label}">
      <table class="text">
        <thead>
          <tr>
            ${head.map((cell) => markup`<th scope="col">${cell}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.slice(0, ROWS_SHOWN).map(
            ([first, ...rest]) =>
              markup`<tr>
                <th scope="row">${first}</th>
                ${rest.map((cell) => markup`<td>${cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${rows.length > ROWS_SHOWN && markup`<p class="empty">And ${rows.length - ROWS_SHOWN} more, which stand in report.json.</p>`}`;
}

/** What the run shows, from the claim to what speaks against it. */
export function findings(doc: ResultsDocument, timings: Timings | null, hrefOf: (id: string) => string): Markup {
  return markup`${gains(doc)} ${arms(doc, timings)} ${rounds(doc)} ${words(doc)} ${spread(doc)} ${compute(doc, timings)} ${strata(doc)} ${planned(doc)}
  ${uncurable(doc, hrefOf)} ${leftOut(doc, hrefOf)}`;
}

function gains(doc: ResultsDocument): Markup {
  const lead = markup`Last round, nothing selected. Feedback pays only where the interval over the control <em>and</em> the one over its
    placebo lie above 0 and p of both is below 0.05${doc.arms.filter(({ learned }) => learned).length > 1 && ' (Holm-corrected, because several models were tried)'}: more draws
    alone, any other words, or chance would otherwise do as well.`;
  return section('gains', 'What each arm gains', lead, forestChart(doc) ?? markup`<p class="empty">No item has a result yet.</p>`);
}

function arms(doc: ResultsDocument, timings: Timings | null): Markup {
  const secondary = doc.metrics.filter((m) => m !== doc.primary);
  const lead = markup`Mean paired differences with 95% intervals; bold colour where the interval excludes
  0.${timings && ' Compute counts every item and attempt, feedback and scoring included.'}`;
  return section(
    'arms',
    'Arms',
    lead,
    markup`${armTable(doc, doc.primary, timings)} ${beyondTheMeans(doc)}
    ${
      secondary.length > 0 &&
      markup`<details>
        <summary>${secondary.length} secondary ${secondary.length > 1 ? 'scores' : 'score'}: ${secondary.join(', ')}</summary>
        <div class="items">${secondary.map((m) => armTable(doc, m, null))}</div>
      </details>`
    }`,
  );
}

/** Further facts about an arm, each a column that is left out where no arm has it. */
const FACTS: ReadonlyArray<{ title: string; about: string; cell(arm: ArmResult, doc: ResultsDocument): Content }> = [
  {
    title: 'effect size',
    about: 'mean over the control divided by the standard deviation of the differences (d_z)',
    cell: (arm, doc) => arm.scores[doc.primary]!.fixed.vsControl?.effectSize?.toFixed(2),
  },
  {
    title: 'share of the attainable',
    about: '0 is the gain of its placebo, 1 the best oracle’s',
    cell: ({ attainable }) => attainable && `${(100 * attainable.share).toFixed(0)}%`,
  },
  { title: 'feedback calls', about: 'critics asked', cell: ({ feedbackCalls }) => feedbackCalls || null },
  {
    title: 'tokens cut',
    about: 'tokens of prompts that the text encoder did not see',
    cell: ({ cut }) => cut.tokens > 0 && `${cut.tokens} in ${cut.prompts} prompts`,
  },
  {
    title: 'variance: items / seeds',
    about: 'of the gain of one repeat',
    cell: ({ variance }) => variance && `${variance.item.toPrecision(2)} / ${variance.seed.toPrecision(2)}`,
  },
];

function beyondTheMeans(doc: ResultsDocument): Markup | false {
  const facts = FACTS.filter(({ cell }) => doc.arms.some((arm) => cell(arm, doc)));
  if (facts.length === 0) return false;
  const rows = doc.arms.map((arm): Content[] => [arm.name, ...facts.map(({ cell }) => cell(arm, doc) || NONE)]);
  return markup`<details>
    <summary>more about each arm: ${facts.map(({ title }) => title).join(', ')}</summary>
    ${textTable('More about each arm', ['arm', ...facts.map(({ title }) => title)], rows)}
    <p class="empty">${facts.map(({ title, about }) => `${title}: ${about}`).join('. ')}.</p>
  </details>`;
}

function rounds(doc: ResultsDocument): Markup | false {
  const chart = curveChart(doc);
  if (chart === null) return false;
  const fell = doc.arms.flatMap(({ name, retention }) => (retention && retention.bestRound > 0 ? [{ name, ...retention }] : []));
  const rows = fell.map(({ name, bestRound, bestGain, lastGain, change }) => [
    name,
    bestRound,
    formatDelta(bestGain, doc.primary),
    formatDelta(lastGain, doc.primary),
    `${formatDelta(change.mean, doc.primary)} ${formatInterval(change.ci95, doc.primary)}`,
    retentionWord(change),
  ]);
  return section(
    'rounds',
    'Round by round',
    'Mean gain over round 0 of the items that got so far. Of the control: its draws one by one.',
    markup`${chart}
    ${rows.length > 0 && textTable('Retention', ['arm', 'best round', 'gain there', 'gain at the end', 'end against best', 'verdict'], rows)}`,
  );
}

function retentionWord({ mean, ci95 }: ComparisonResult): string {
  if (mean === null || mean === 0) return 'the last round is the best';
  return ci95 !== null && ci95[1] < 0 ? 'lost again what it had gained' : 'no clear fall';
}

function words(doc: ResultsDocument): Markup | false {
  const { arms: shown, facts } = feedbackTable(doc);
  if (shown.length === 0) return false;
  const rows = shown.map((arm): Content[] => [
    arm.name,
    ...facts.map(({ value, shown: as }) => {
      const found = value(arm);
      return typeof found === 'number' ? as(found) : NONE;
    }),
  ]);
  const about = facts.map(({ title, about: meaning }) => `${title}: ${meaning}`).join('. ');
  return section(
    'feedback',
    'The feedback',
    'How much it varies, what of it was copied from the feedback that its model was trained on, and whether its model looks at the picture.',
    markup`${feedbackVerdicts(doc).map((verdict) => markup`<p>${verdict}</p>`)}
      ${textTable('The feedback', ['arm', ...facts.map(({ title }) => title)], rows)}
      <p class="empty">${about}.</p>`,
  );
}

function spread(doc: ResultsDocument): Markup | false {
  const chart = spreadChart(doc);
  return (
    chart !== null &&
    section(
      'spread',
      'Item by item',
      'How many items gained how much: a mean can come from a few. Left of the line an item got worse.',
      chart,
    )
  );
}

function compute(doc: ResultsDocument, timings: Timings | null): Markup | false {
  const chart = computeChart(doc, timings);
  const recorded = timings?.total.statuses.recorded ?? 0;
  if (chart === null || timings === null) return false;
  const lead = `Every attempt counts, failed ones too; round 0, which all arms share, took ${formatSeconds(timings.arms['round 0']?.seconds ?? 0)} in all.${
    recorded > 0
      ? ` ${recorded} steps were recorded already, by an earlier run or by another arm of this one, and cost nothing here: arms that found theirs recorded look cheaper.`
      : ''
  }`;
  return section('compute', 'Gain against compute', lead, markup`${chart} ${devices(timings)}`);
}

function devices({ devices }: Timings): Markup | false {
  const rows = Object.entries(devices)
    .filter(([, { attempts }]) => attempts > 0)
    .map(([device, { statuses, attempts, seconds }]): Content[] => [
      device,
      statuses.completed ?? 0,
      attempts - (statuses.completed ?? 0) || NONE,
      formatSeconds(seconds),
    ]);
  return (
    rows.length > 0 &&
    markup`<details>
      <summary>${rows.length} ${rows.length > 1 ? 'devices' : 'device'}: ${rows.map(([device]) => device).join(', ')}</summary>
      ${textTable('Devices', ['device', 'steps', 'attempts without a result', 'seconds of steps'], rows)}
    </details>`
  );
}

function strata(doc: ResultsDocument): Markup | false {
  if (doc.strata.length === 0) return false;
  const columns = [...new Set(doc.strata.map(({ column }) => column))];
  const shown = doc.arms.filter((arm) => arm.name !== doc.control);
  const tables = columns.map((column) => {
    const rows = doc.strata
      .filter((stratum) => stratum.column === column)
      .map(({ value, arms: within }): Content[] => [
        value,
        Math.max(0, ...within.map(({ n }) => n)),
        ...shown.map(({ name }) => {
          const against = within.find((arm) => arm.name === name)?.vsControl;
          return against && against.mean !== null
            ? markup`${formatDelta(against.mean, doc.primary)}<span class="minor">${formatInterval(against.ci95, doc.primary)}</span>`
            : NONE;
        }),
      ]);
    return textTable(`Gains by ${column}`, [column, 'n', ...shown.map(({ name }) => name)], rows);
  });
  const lead = `Gains in ${doc.primary} over the control, apart by ${columns.join(' and ')}. Looked at afterwards, and not corrected for how many there are: for questions, not for claims.`;
  return section('strata', 'Where it helps', lead, tables);
}

function planned({ plan, deviations }: ResultsDocument): Markup | false {
  if (plan === null) return false;
  const detectable =
    plan.detectableGain === null
      ? 'too few items to detect any gain'
      : `able to show a gain of ${plan.detectableGain.toFixed(2)} standard deviations of the paired differences with 80% power`;
  const said = `Written before round 0: ${plan.primary}, ${plan.estimand}, ${plan.n} items, ${detectable}.`;
  const body = markup`<p>${deviations.length === 0 ? 'The report is what was planned.' : deviations.join(' ')}</p>`;
  return section('plan', 'Plan and deviations', said, body);
}

function uncurable(doc: ResultsDocument, hrefOf: (id: string) => string): Markup | false {
  if (doc.uncurable.length === 0) return false;
  const rows = doc.uncurable.map(({ id, caption, oracles, control }): Content[] => [
    link(id, hrefOf),
    shortened(caption),
    oracles.map(
      ({ arm, round, gain, feedback }) =>
        markup`${arm}, round ${round}: ${formatDelta(gain, doc.primary)}<span class="minor">${feedback && shortened(feedback)}</span>`,
    ),
    control ? `draw ${control.draw}: ${formatDelta(control.gain, doc.primary)}` : NONE,
  ]);
  const lead = `Neither the oracle’s feedback nor any draw of the control improved them: the caption, or the generator, is at its end. They stand in the means. Beside each the gain in ${doc.primary} that came nearest.`;
  return section(
    'uncurable',
    `Uncurable items (${doc.uncurable.length})`,
    lead,
    textTable('Uncurable items', ['item', 'caption', 'the oracle’s nearest', 'the control’s nearest'], rows),
  );
}

function leftOut(doc: ResultsDocument, hrefOf: (id: string) => string): Markup | false {
  if (doc.excluded.length === 0) return false;
  const captions = new Map(doc.items.map(({ id, caption }) => [id, caption]));
  const rows = doc.excluded.map(({ id, reason }): Content[] => [
    link(id, hrefOf),
    shortened(captions.get(id) ?? ''),
    shortened(reason, 400),
  ]);
  return section(
    'left-out',
    `Left out of every mean (${doc.excluded.length})`,
    'Items that did not finish, and items that a model in use was trained on.',
    textTable('Left out of every mean', ['item', 'caption', 'why'], rows),
  );
}

const link = (id: string, hrefOf: (id: string) => string): Markup => markup`<a href="${hrefOf(id)}"><code>${id}</code></a>`;
