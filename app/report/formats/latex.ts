import { directionNote, formatDelta, formatInterval, formatP, formatScore } from '../format.js';
import { headline } from '../headline.js';
import { ESTIMANDS, type ComparisonResult, type ResultsDocument } from '../results-document.js';
import { escapeLatex, latexTable } from './escape-latex.js';

/** One table a metric, the primary first, to be read into a paper by `\input`. Needs the packages `booktabs` and `graphicx`. */
export function resultsLatex(doc: ResultsDocument): string {
  const { sentence, notes } = headline(doc);
  const comment = (text: string) => `% ${text.replace(/\s+/g, ' ')}`;
  const said = [`${doc.recipe.name}, run ${doc.runId}; needs \\usepackage{booktabs,graphicx}`, sentence, ...notes, ...doc.deviations];
  return `${[...said.map(comment), ...doc.metrics.map((metric) => metricTable(doc, metric))].join('\n\n')}\n`;
}

function metricTable(doc: ResultsDocument, metric: string): string {
  const signed = (mean: number | null, interval: [number, number] | null) =>
    escapeLatex(mean === null ? '–' : `${formatDelta(mean, metric)} ${formatInterval(interval, metric)}`);
  const against = (c: ComparisonResult | null | undefined) => (c ? signed(c.mean, c.ci95) : '--');
  const rows = doc.arms.flatMap((arm) =>
    ESTIMANDS.map((estimand, i) => {
      const scores = arm.scores[metric]!;
      const result = scores[estimand];
      return [
        i === 0 ? escapeLatex(arm.oracle ? `${arm.name} (oracle)` : arm.name) : '',
        i === 0 ? String(scores.fixed.n) : '',
        i === 0 ? String(arm.generatorCalls) : '',
        i === 0 ? escapeLatex(formatScore(scores.mean, metric)) : '',
        estimand,
        signed(result.gainMean, result.ci95),
        `${result.wins}/${result.ties}/${result.losses}`,
        against(result.vsControl),
        result.vsControl ? escapeLatex(formatP(result.vsControl.pAdjusted)) : '--',
        against(result.vsPlacebo),
      ];
    }),
  );
  const role = metric === doc.primary ? 'the primary score' : 'a secondary score; p values Holm-corrected';
  return latexTable({
    caption: `Paired gains in ${metric}, ${role}${directionNote(metric)}.`,
    label: `tab:${doc.runId}-${metric}`.replace(/[^\w:.-]/g, '-'),
    columns: 'lrrrlrcrrr',
    head: ['arm', 'n', 'images', 'mean', 'estimand', 'over round 0', 'w/t/l', 'over control', 'p', 'over placebo'],
    rows,
    note: 'Mean paired differences over items with 95% BCa bootstrap intervals; p by sign flips. Fixed: last round; best: the selector’s pick; stopped: the stop policy’s pick. An oracle saw the true picture: an upper reference, no rival.',
  });
}
