import { Command, CommanderError } from 'commander';
import { RecipeError } from '../recipe/index.js';
import { software } from '../client/prepare-run.js';
import { compareCommand } from './commands/compare.js';
import { demoCommand } from './commands/demo.js';
import { devCommand } from './commands/dev.js';
import { doctorCommand } from './commands/doctor.js';
import { explainCommand } from './commands/explain.js';
import { exportCommand } from './commands/export.js';
import { gcCommand } from './commands/gc.js';
import { lookCommands } from './commands/look.js';
import { modelsCommands } from './commands/models.js';
import { planCommand } from './commands/plan.js';
import { reportCommand } from './commands/report.js';
import { runCommand } from './commands/run.js';
import { steerCommands } from './commands/steer.js';
import { trainCommand } from './commands/train.js';
import { workerCommand } from './commands/worker.js';
import { exitCodeOf, EXIT, FoundWrong, Interrupted } from './exit-codes.js';
import { note, printJson } from './output.js';

const EXIT_CODES = `
exit codes: 0 done, 1 unexpected error or something found wrong, 2 usage, invalid recipe or dataset, 3 the run ended with
failed items, 4 a service is unreachable, 130 interrupted`;

function buildProgram(): Command {
  const { version } = software();
  const program = new Command('refineloop')
    .description(
      'Improves generated images by textual feedback over whole datasets, durably, and tells honestly whether the feedback paid.',
    )
    .version(version)
    .showSuggestionAfterError()
    .addHelpText('after', EXIT_CODES)
    .exitOverride();
  [
    demoCommand,
    devCommand,
    planCommand,
    runCommand,
    lookCommands,
    explainCommand,
    steerCommands,
    reportCommand,
    compareCommand,
    exportCommand,
    gcCommand,
    trainCommand,
    modelsCommands,
    workerCommand,
    doctorCommand,
  ].forEach((add) => add(program));
  return program;
}

/** Runs one command and sets the exit code. Errors are said once, on stderr, and with `--json` as a document too. */
export async function main(argv: string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(argv, { from: 'user' });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    if (error instanceof CommanderError) return; // Said by commander already.
    if (argv.includes('--json') && !(error instanceof FoundWrong)) printJson({ error: describe(error) });
    if (process.exitCode === EXIT.unexpected && !(error instanceof FoundWrong)) {
      note(error instanceof Error ? (error.stack ?? error.message) : String(error));
      note('this was not expected; please report it with the lines above');
      return;
    }
    note(
      error instanceof RecipeError || error instanceof Interrupted || error instanceof FoundWrong
        ? error.message
        : `error: ${(error as Error).message}`,
    );
  }
}

function describe(error: unknown): Record<string, unknown> {
  if (error instanceof RecipeError) return { type: 'RecipeError', message: error.message, issues: error.issues };
  return error instanceof Error ? { type: error.name, message: error.message } : { type: 'Error', message: String(error) };
}

/** What grpc-js throws for a call on a channel that is closed. */
const CLOSED_CHANNEL = 'Channel has been shut down';

/** Everything that was written is out: a pipe takes 64 KiB at a time, and what waits is lost with the process. */
const flushed = (stream: NodeJS.WriteStream) => new Promise<void>((resolve) => stream.write('', () => resolve()));

// A call that the Temporal client means to repeat may find its connection closed, in a timer of the client's own where nobody can catch it.
process.on('uncaughtException', (error) => {
  if (error.message === CLOSED_CHANNEL) return;
  note(error.stack ?? error.message);
  process.exit(EXIT.unexpected);
});
// Who reads may leave before the end, as `head` does: nothing is wrong then.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? EXIT.done);
});
await main(process.argv.slice(2));
await Promise.all([process.stdout, process.stderr].map(flushed));
// Native runtimes and pipes may keep the process alive though nothing is left to do.
process.exit(process.exitCode ?? EXIT.done);
