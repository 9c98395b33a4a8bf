import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { InvalidInput } from '../../../core/errors.js';
import { writeFeedbackSet } from '../../../engine/datasets/index.js';
import type { Store } from '../../../engine/storage/index.js';
import { feedbackSetLines } from '../../export/feedback-set-lines.js';
import { exportImageFolder } from '../../export/image-folder.js';
import { namesIn } from '../../export/output-folder.js';
import { openRun, shown, withCommonOptions, type CommonOptions } from '../context.js';
import { note, print, printJson } from '../output.js';
import { reportInput } from '../save-report.js';

interface ExportOptions extends CommonOptions {
  as: ExportKind;
  arm?: string;
  n?: number;
  seed?: number;
  validation?: number;
}

/** What came of it: the document of `--json`, what is said instead, and what was left out. */
interface Written {
  document: unknown;
  said: string[];
  left: Array<{ source: string; reason: string }>;
}

/** What a run can be written as. */
const KINDS = {
  'image-folder': async (store, runId, folder, { arm }) => {
    const exported = await exportImageFolder(await reportInput(store, runId), folder, arm);
    return { document: exported, said: [`${exported.rows} pictures and metadata.jsonl in ${shown(folder)}`], left: exported.skipped };
  },
  'feedback-set': async (store, runId, folder, { arm, n, seed = 0, validation = 0.1 }) => {
    const set = await writeFeedbackSet(store, runId, folder, { arm, n, seed, validation });
    const [rows, ...rest] = feedbackSetLines(set, n);
    const said = [`${rows}, in ${shown(folder)}`, ...rest];
    return { document: set, said, left: set.left.map(({ id, reason }) => ({ source: id, reason })) };
  },
} satisfies Record<string, (store: Store, runId: string, folder: string, options: ExportOptions) => Promise<Written>>;
type ExportKind = keyof typeof KINDS;

/** Options of a feedback set alone. */
const OF_A_SET = ['n', 'seed', 'validation'] as const;

export function exportCommand(program: Command): void {
  const command = program
    .command('export')
    .description('what a run made, as a dataset in Hugging Face’s layout: its pictures, or its feedback as a set to train on')
    .argument('<run>')
    .argument('<dest>', 'folder to write; new or empty')
    .addOption(
      new Option(
        '--as <kind>',
        'image-folder: pictures with captions, prompts and feedback; feedback-set: pictures with what was said about them',
      )
        .choices(Object.keys(KINDS))
        .default('image-folder'),
    )
    .option('--arm <name>', 'only of this arm (default: all; of a feedback set: the one with a person’s feedback)')
    .option('--n <items>', 'feedback set: draw so many items at random (default: all that can be used)', number(1, Infinity, true))
    .option('--seed <seed>', 'feedback set: of the draw and of the splits (default: 0)', number(0, 2 ** 32 - 1, true))
    .option('--validation <share>', 'feedback set: share of the items that is kept for validation (default: 0.1)', number(0, 0.9, false));
  withCommonOptions(command).action(async (runId: string, dest: string, options: ExportOptions) => {
    const strange = options.as === 'feedback-set' ? undefined : OF_A_SET.find((name) => options[name] !== undefined);
    if (strange !== undefined) throw new InvalidInput(`--${strange} is for --as feedback-set; an image folder holds the whole run`);
    const { store } = await openRun(runId, options);
    const folder = resolve(dest);
    await requireEmpty(folder);
    const { document, said, left } = await KINDS[options.as](store, runId, folder, options);
    if (options.json) return printJson(document);
    for (const line of said) print(line);
    for (const { source, reason } of left) note(`left out: ${source}: ${reason}`);
  });
}

function number(least: number, most: number, whole: boolean): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
    const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`expected a ${whole ? 'whole number' : 'number'} ${range}`);
  };
}

async function requireEmpty(folder: string): Promise<void> {
  if ((await namesIn(folder)).length > 0) throw new InvalidInput(`${folder} is not empty; name a folder that is new or empty`);
}
