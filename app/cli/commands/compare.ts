import type { Command } from 'commander';
import { buildResults } from '../../report/index.js';
import { compareRuns, type ComparisonDocument, type RunComparison } from '../../report/compare.js';
import { formatDelta, formatInterval, formatP } from '../../report/format.js';
import pc from '../colours.js';
import { openRun, withCommonOptions, type CommonOptions } from '../context.js';
import { print, printJson, table } from '../output.js';
import { reportInput } from '../save-report.js';

export function compareCommand(program: Command): void {
  const command = program
    .command('compare')
    .description('runs over the same items, each against the first: what differs, and whether the difference is real')
    .argument('<run>')
    .argument('<others...>');
  withCommonOptions(command).action(async (first: string, others: string[], options: CommonOptions) => {
    const docs = [];
    for (const runId of [first, ...others]) {
      const { store } = await openRun(runId, options);
      docs.push(await buildResults(await reportInput(store, runId)));
    }
    const document = compareRuns(docs);
    if (options.json) printJson(document);
    else show(document);
  });
}

function show({ runs, differences, items, comparisons, warnings }: ComparisonDocument): void {
  const [first] = runs;
  const primary = comparisons.filter(({ metric }) => metric === first!.primary);
  print(pc.bold(verdict(primary, first!.runId, first!.primary)));
  warnings.forEach((warning) => print(pc.dim(warning)));
  items.forEach(({ runId, paired, onlyFirst, onlyHere, leftOut }) =>
    print(pc.dim(`${runId}: ${paired} items paired; ${onlyFirst} only in ${first!.runId}, ${onlyHere} only here, ${leftOut} left out of the means`)),
  ); // prettier-ignore
  const head = ['run', 'arm', 'score', 'n', `gain in ${first!.runId}`, 'gain here', 'difference of gains', 'p', 'difference of scores'];
  const rows = comparisons.map(({ runId, arm, metric, gains, gain, score }) => [
    runId,
    arm,
    metric,
    gain.n,
    formatDelta(gains.first, metric),
    formatDelta(gains.here, metric),
    `${formatDelta(gain.mean, metric)} ${formatInterval(gain.ci95, metric)}`,
    formatP(gain.pAdjusted),
    `${formatDelta(score.mean, metric)} ${formatInterval(score.ci95, metric)}`,
  ]);
  print(`\n${table(head, rows)}`);
  if (differences.length === 0) return print('\nRecipes, models and runtime are the same.');
  print(`\n${table(['differs', ...runs.map(({ runId }) => runId)], differences.map(({ field, values }) => [field, ...values.map(clipped)]))}`); // prettier-ignore
}

/** Which arms gained more or less than in the first run, by the interval of the primary score. */
function verdict(comparisons: readonly RunComparison[], first: string, primary: string): string {
  const clear = comparisons.filter(({ gain: { ci95 } }) => ci95 !== null && (ci95[0] > 0 || ci95[1] < 0));
  if (clear.length === 0) return `No arm gains clearly more or less in ${primary} than in ${first}.`;
  const parts = clear.map(
    ({ runId, arm, gain }) => `${arm} in ${runId} ${formatDelta(gain.mean, primary)} ${formatInterval(gain.ci95, primary)}, n = ${gain.n}`,
  );
  return `Against ${first}, gains in ${primary} differ: ${parts.join('; ')}.`;
}

const clipped = (text: string): string => (text.length > 40 ? `${text.slice(0, 39)}…` : text);
