import { formatDelta, formatInterval, formatP, formatScore } from './format.js';
import { headline } from './headline.js';
import { exclusion } from './results.js';
import { ESTIMANDS, type ItemResult, type PairedResult, type ResultsDocument } from './results-document.js';

/** Items shown at each end. */
const SHOWN = 5;

/** The arm tables, the items with the largest gains and losses, and what was left out, as GitHub-flavoured Markdown. */
export function resultsMarkdown(doc: ResultsDocument): string {
  const { sentence, notes } = headline(doc);
  return [
    `# ${text(doc.recipe.name)}: ${text(doc.runId)}`,
    `**${text(sentence)}**`,
    ...notes.map((note) => `> ${text(note)}`),
    ...doc.metrics.map((metric) => armTable(doc, metric)),
    extremes(doc),
    ...(doc.excluded.length > 0
      ? [
          `## Left out of every mean (${doc.excluded.length})`,
          table(
            ['item', 'reason'],
            doc.excluded.map((e) => [e.id, e.reason]),
          ),
        ]
      : []),
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
        arm.oracle ? `${arm.name} (oracle)` : arm.name,
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
  return `## ${text(metric)} (${role.join(', ')})\n\n${table(header, rows)}`;
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
    list.map(({ item, arm, gain }) => [item.id, item.caption, arm.name, formatDelta(gain, doc.primary), lastFeedback(arm)]);
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
