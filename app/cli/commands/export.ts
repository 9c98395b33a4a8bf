import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { InvalidInput } from '../../../core/errors.js';
import { exportImageFolder } from '../../export/image-folder.js';
import { openRun, shown, withCommonOptions, type CommonOptions } from '../context.js';
import { note, print, printJson } from '../output.js';
import { reportInput } from '../save-report.js';

export function exportCommand(program: Command): void {
  const command = program
    .command('export')
    .description('the pictures of a run with their captions, prompts and feedback, as an image folder in Hugging Face’s layout')
    .argument('<run>')
    .argument('<dest>', 'folder to write; new or empty')
    .option('--arm <name>', 'only of this arm (default: a row for each item and arm)');
  withCommonOptions(command).action(async (runId: string, dest: string, options: CommonOptions & { arm?: string }) => {
    const { store } = await openRun(runId, options);
    const folder = resolve(dest);
    await requireEmpty(folder);
    const exported = await exportImageFolder(await reportInput(store, runId), folder, options.arm);
    if (options.json) return printJson(exported);
    print(`${exported.rows} pictures and metadata.jsonl in ${shown(folder)}`);
    for (const { source, reason } of exported.skipped) note(`left out: ${source}: ${reason}`);
  });
}

async function requireEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new InvalidInput(`${folder} cannot be written (${error.code ?? error.message}); name a folder that is new or empty`, {
      cause: error,
    });
  });
  if (names.length > 0) throw new InvalidInput(`${folder} is not empty; name a folder that is new or empty`);
}
