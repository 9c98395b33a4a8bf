import { resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { REPORT_FORMATS, renderReport, writeReport, type ReportFormat } from '../../report/index.js';
import { openRun, shown, withCommonOptions, type CommonOptions } from '../context.js';
import { print, printJson } from '../output.js';
import { placeOf, reportInput, reportSummary } from '../save-report.js';

export function reportCommand(program: Command): void {
  const command = program
    .command('report')
    .description('tables and statistics of a run, also while it runs')
    .argument('<run>')
    .option('--format <list>', `which, of ${REPORT_FORMATS.join(', ')} (default: all)`, formatList)
    .option('--out <folder>', 'folder to write to (default: the run’s own in the store)');
  withCommonOptions(command).action(async (runId: string, options: CommonOptions & { format?: ReportFormat[]; out?: string }) => {
    const { run, store } = await openRun(runId, options);
    const input = await reportInput(store, runId);
    if (options.out !== undefined) {
      const { results, paths } = await writeReport(input, { outDir: resolve(options.out), formats: options.format });
      if (options.json) return printJson(results);
      print(`${reportSummary(results)}\n`);
      return Object.values(paths).forEach((path) => print(shown(path)));
    }
    const { results, files } = await renderReport(input, options.format);
    for (const { name, content } of files) await store.run(runId).writeReport(name, content);
    if (options.json) return printJson(results);
    print(`${reportSummary(results)}\n`);
    for (const { name } of files) print(shown(placeOf(run.storeUri, store.run(runId).reportKey(name))));
  });
}

function formatList(text: string): ReportFormat[] {
  const wanted = text.split(',').map((part) => part.trim());
  const unknown = wanted.filter((format) => !(REPORT_FORMATS as string[]).includes(format));
  if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(', ')}: known are ${REPORT_FORMATS.join(', ')}`);
  return wanted as ReportFormat[];
}
