import { join, resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { folderSink, REPORT_FORMATS, USUAL_FORMATS, writeReport, type ReportFormat, type ReportSink } from '../../report/index.js';
import { openRun, shown, withCommonOptions, type CommonOptions } from '../context.js';
import { print, printJson } from '../output.js';
import { placeOf, reportInput, reportSummary } from '../save-report.js';

export function reportCommand(program: Command): void {
  const command = program
    .command('report')
    .description('tables and statistics of a run, also while it runs')
    .argument('<run>')
    .option('--format <list>', `which, of ${REPORT_FORMATS.join(', ')} (default: ${USUAL_FORMATS.join(', ')})`, formatList)
    .option('--out <folder>', 'folder to write to (default: the run’s own in the store)');
  withCommonOptions(command).action(async (runId: string, options: CommonOptions & { format?: ReportFormat[]; out?: string }) => {
    const { run, store } = await openRun(runId, options);
    const input = await reportInput(store, runId);
    const own = store.run(runId);
    const sink: ReportSink =
      options.out === undefined ? (name, content) => own.writeReport(name, content) : folderSink(resolve(options.out));
    const { results, files } = await writeReport(input, sink, options.format);
    if (options.json) return printJson(results);
    print(`${reportSummary(results)}\n`);
    for (const name of Object.values(files)) {
      print(shown(options.out === undefined ? placeOf(run.storeUri, own.reportKey(name)) : join(resolve(options.out), name)));
    }
  });
}

function formatList(text: string): ReportFormat[] {
  const wanted = text.split(',').map((part) => part.trim());
  const unknown = wanted.filter((format) => !(REPORT_FORMATS as string[]).includes(format));
  if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(', ')}: known are ${REPORT_FORMATS.join(', ')}`);
  return wanted as ReportFormat[];
}
