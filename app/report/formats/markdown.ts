import { feedbackTable, feedbackVerdicts } from '../feedback-facts.js';
import { directionNote, formatDelta, formatInterval, formatP, formatScore, shortened } from '../format.js';
import { headline } from '../headline.js';
import { exclusion } from '../results.js';
import { ESTIMANDS, type ArmResult, type ItemResult, type PairedResult, type ResultsDocument } from '../results-document.js';

/** Items shown at each end. */
const SHOWN = 5;
/** Items of a list that are shown. */
const LISTED = 100;

/** The arm tables, the items with the largest gains and losses, and what was left out, as GitHub-flavoured Markdown. */
export function resultsMarkdown(doc: ResultsDocument): string {
  const { sentence, notes } = headline(doc);
  return [
    `# ${text(doc.recipe.name)}: ${text(doc.runId)}`,
    `**${text(sentence)}**`,
    ...[...doc.deviations, ...notes].map((note) => `> ${text(note)}`),
    ...doc.metrics.map((metric) => armTable(doc, metric)),
    ...curves(doc),
    ...words(doc),
    ...strata(doc),
    extremes(doc),
    ...listed(
      'Uncurable items',
      ['item', 'caption', 'the oracle’s nearest', 'the control’s nearest'],
      doc.uncurable.map(({ id, caption, oracles, control }) => [
        id,
        shortened(caption),
        oracles.map(({ arm, round, gain }) => `${arm}, round ${round}: ${formatDelta(gain, doc.primary)}`).join('; ') || '–',
        control ? `draw ${control.draw}: ${formatDelta(control.gain, doc.primary)}` : '–',
      ]),
    ),
    ...listed(
      'Left out of every mean',
      ['item', 'reason'],
      doc.excluded.map(({ id, reason }) => [id, shortened(reason, 400)]),
    ),
  ]
    .join('\n\n')
    .concat('\n');
}

function armTable(doc: ResultsDocument, metric: string): string {
  const rows = doc.arms.flatMap((arm) =>
    ESTIMANDS.map((estimand) => {
      const scores = arm.scores[metric]!;
      const result = scores[estimand];
      const against = (c: (PairedResult & { mean: number | null }) | null | undefined) =>
        c ? `${formatDelta(c.mean, metric)} ${formatInterval(c.ci95, metric)} p ${formatP(c.pAdjusted)}` : '–';
      return [
        armTitle(arm),
        estimand,
        String(result.n),
        String(arm.generatorCalls),
        formatScore(scores.mean, metric),
        `${formatDelta(result.gainMean, metric)} ${formatInterval(result.ci95, metric)}`,
        `${result.wins}/${result.ties}/${result.losses}`,
        against(result.vsControl),
        against(result.vsPlacebo),
      ];
    }),
  );
  const role = [
    ...(metric === doc.primary ? ['primary'] : ['secondary, p Holm-corrected']),
    ...(metric === doc.selector ? ['selector'] : []),
  ];
  const header = [
    'arm',
    'estimand',
    'n',
    'generator calls',
    'mean',
    'gain over round 0',
    'win/tie/loss',
    'against control',
    'against placebo',
  ];
  return `## ${text(metric)} (${role.join(', ')}${directionNote(metric)})\n\n${table(header, rows)}`;
}

/** Mean gain round by round, and whether what was gained was kept. */
function curves({ arms, primary }: ResultsDocument): string[] {
  const shown = arms.filter(({ curve }) => curve.length > 2);
  if (shown.length === 0) return [];
  const rounds = Math.max(...shown.map(({ curve }) => curve.length));
  const header = [
    'arm',
    ...Array.from({ length: rounds - 1 }, (_, i) => `round ${i + 1}`),
    'best round',
    'last against best',
    'share of the attainable',
  ];
  const rows = shown.map(({ name, curve, retention, attainable }) => [
    name,
    ...Array.from({ length: rounds - 1 }, (_, i) => formatDelta(curve[i + 1]?.gainMean, primary)),
    retention ? String(retention.bestRound) : '–',
    retention ? `${formatDelta(retention.change.mean, primary)} ${formatInterval(retention.change.ci95, primary)}` : '–',
    attainable ? `${(100 * attainable.share).toFixed(0)}%` : '–',
  ]);
  return [`## Round by round: mean gain in ${text(primary)}`, table(header, rows)];
}

/** What each arm's feedback is like: how much of it was copied, and whether the critic looked. */
function words(doc: ResultsDocument): string[] {
  const { arms, facts } = feedbackTable(doc);
  if (arms.length === 0) return [];
  const rows = arms.map((arm) => [
    armTitle(arm),
    ...facts.map(({ value, shown }) => {
      const found = value(arm);
      return typeof found === 'number' ? shown(found) : '–';
    }),
  ]);
  return ['## The feedback', ...feedbackVerdicts(doc).map(text), table(['arm', ...facts.map(({ title }) => title)], rows)];
}

function armTitle({ name, oracle, swap, placeboOf }: ArmResult): string {
  if (oracle) return `${name} (oracle)`;
  return swap === 'picture' ? `${name} (${placeboOf} given another item’s picture)` : name;
}

function strata({ strata: all, arms, control, primary }: ResultsDocument): string[] {
  if (all.length === 0) return [];
  const shown = arms.filter(({ name }) => name !== control).map(({ name }) => name);
  const rows = all.map(({ column, value, arms: within }) => [
    `${column}: ${value}`,
    String(Math.max(0, ...within.map(({ n }) => n))),
    ...shown.map((name) => {
      const against = within.find((arm) => arm.name === name)?.vsControl;
      return against ? `${formatDelta(against.mean, primary)} ${formatInterval(against.ci95, primary)}` : '–';
    }),
  ]);
  return [`## Gains over the control by stratum (not corrected for how many)`, table(['stratum', 'n', ...shown], rows)];
}

/** A list that may be long: its head, and how much more there is. */
function listed(title: string, header: string[], rows: string[][]): string[] {
  if (rows.length === 0) return [];
  const more = rows.length > LISTED ? [`And ${rows.length - LISTED} more, which stand in report.json.`] : [];
  return [`## ${title} (${rows.length})`, table(header, rows.slice(0, LISTED)), ...more];
}

/** The items that the feedback arms moved most, either way, by their `fixed` gain on the primary metric. */
function extremes(doc: ResultsDocument): string {
  const arms = doc.recipe.arms.filter((a) => a.feedback !== null && a.feedback.source !== 'shuffled').map((a) => a.name);
  const gains = doc.items
    .filter((item) => exclusion(item) === null)
    .flatMap((item) =>
      item.arms
        .filter((a) => arms.includes(a.name) && a.gain[doc.primary] !== undefined)
        .map((arm) => ({ item, arm, gain: arm.gain[doc.primary]! })),
    )
    .sort((a, b) => b.gain - a.gain);
  const rows = (list: typeof gains) =>
    list.map(({ item, arm, gain }) => [item.id, shortened(item.caption), arm.name, formatDelta(gain, doc.primary), lastFeedback(arm)]);
  const header = ['item', 'caption', 'arm', `gain in ${doc.primary}`, 'last feedback'];
  const best = gains.filter((g) => g.gain > 0).slice(0, SHOWN);
  const worst = gains
    .filter((g) => g.gain < 0)
    .slice(-SHOWN)
    .reverse();
  return `## Largest gains\n\n${best.length > 0 ? table(header, rows(best)) : 'None.'}\n\n## Largest losses\n\n${worst.length > 0 ? table(header, rows(worst)) : 'None.'}`;
}

const lastFeedback = (arm: ItemResult['arms'][number]): string => arm.rounds.at(-1)?.feedback ?? '–';

function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(text).join(' | ')} |`;
  return [line(header), `|${header.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

/** Text as text: nothing in it starts a tag, a link, a cell or another line. */
function text(value: string): string {
  return value
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_[\]|~#]/g, (c) => `\\${c}`)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;');
}
