import { join, resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { readFeedbackSet } from '../../../engine/datasets/index.js';
import { withPolicy } from '../../recipe/index.js';
import {
  folderSink,
  REPORT_FORMATS,
  replayed,
  USUAL_FORMATS,
  writeReport,
  type ReportFormat,
  type ReportInput,
  type ReportSink,
} from '../../report/index.js';
import { openRun, shown, withCommonOptions, type CommonOptions } from '../context.js';
import { print, printJson } from '../output.js';
import { placeOf, reportInput, reportSummary } from '../save-report.js';

interface ReportOptions extends CommonOptions {
  format?: ReportFormat[];
  out?: string;
  policy: string[];
  feedbackSet?: string;
}

export function reportCommand(program: Command): void {
  const command = program
    .command('report')
    .description('tables and statistics of a run, also while it runs')
    .argument('<run>')
    .option('--format <list>', `which, of ${REPORT_FORMATS.join(', ')} (default: ${USUAL_FORMATS.join(', ')})`, formatList)
    .option('--out <folder>', 'folder to write to (default: the run’s own in the store)')
    .option(
      '--policy <key=value>',
      'the run as another stop, gate or selector would have left it, as stop.target=0.3; may be given several times; no model is called',
      (text: string, before: string[]) => [...before, text],
      [],
    )
    .option('--feedback-set <path>', 'a feedback set’s folder, or a .txt, .jsonl or .csv: how much of it each arm’s feedback copies');
  withCommonOptions(command).action(async (runId: string, options: ReportOptions) => {
    const { run, store } = await openRun(runId, options);
    const input = await asked(await reportInput(store, runId), options);
    const own = store.run(runId);
    // What is looked at afterwards lies beside the run's own report, never over it.
    const place = options.policy.length > 0 ? `policy/${options.policy.join('_').replace(/[^\w.-]/g, '-')}/` : '';
    const sink: ReportSink =
      options.out === undefined ? (name, content) => own.writeReport(place + name, content) : folderSink(resolve(options.out));
    const { results, files } = await writeReport(input, sink, options.format);
    if (options.json) return printJson(results);
    print(`${reportSummary(results)}\n`);
    for (const name of Object.values(files)) {
      print(shown(options.out === undefined ? placeOf(run.storeUri, own.reportKey(place + name)) : join(resolve(options.out), name)));
    }
  });
}

/** The run's results, looked at as the options ask. */
async function asked(input: ReportInput, { policy, feedbackSet }: ReportOptions): Promise<ReportInput> {
  const { recipe, models } = input.manifest;
  const digests = Object.fromEntries(Object.entries(models).map(([name, { digest }]) => [name, digest]));
  const held = feedbackSet === undefined ? input : { ...input, trainingFeedback: await readFeedbackSet(resolve(feedbackSet)) };
  return policy.length === 0 ? held : replayed(held, withPolicy(recipe, digests, policy), policy.join(', '));
}

function formatList(text: string): ReportFormat[] {
  const wanted = text.split(',').map((part) => part.trim());
  const unknown = wanted.filter((format) => !(REPORT_FORMATS as string[]).includes(format));
  if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(', ')}: known are ${REPORT_FORMATS.join(', ')}`);
  return wanted as ReportFormat[];
}
