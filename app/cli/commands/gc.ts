import type { Command } from 'commander';
import { collectGarbage, openStore } from '../../../engine/storage/index.js';
import { storeOf, withCommonOptions, type CommonOptions } from '../context.js';
import { print, printJson } from '../output.js';

type GcOptions = CommonOptions & { keep?: string[]; delete?: boolean };

export function gcCommand(program: Command): void {
  const command = program
    .command('gc')
    .description('deletes what no kept run refers to; without --delete only says what would go')
    .option('--keep <run...>', 'runs that stay; all others go (default: all stay, and only what none refers to goes)')
    .option('--delete', 'really delete');
  withCommonOptions(command).action(async (options: GcOptions) => {
    const store = await openStore(storeOf(options));
    const garbage = await collectGarbage(store, { keep: options.keep ?? null, delete: options.delete ?? false, now: new Date() });
    if (options.json) return printJson(garbage);
    const { runs, steps, artifacts, bytes, deleted } = garbage;
    const megabytes = (bytes / 2 ** 20).toFixed(1);
    print(
      `${deleted ? 'deleted' : 'would go'}: ${steps} step records, ${artifacts} artifacts (${megabytes} MiB), runs: ${runs.join(', ') || 'none'}`,
    );
    if (!deleted && steps + artifacts + runs.length > 0) print('nothing is deleted yet; with --delete it is');
  });
}
