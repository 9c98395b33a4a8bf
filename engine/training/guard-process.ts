/**
 * Stands between a worker and the training program, in a process group of their own: when the worker is gone, however it went, so is the group.
 * Started with the command line as JSON; the program's output goes straight through. Ends as the program ends.
 */
import { spawn } from 'node:child_process';

const [command, ...args] = JSON.parse(process.argv[2] ?? '[]') as [string, ...string[]];

// Signals to the group are for the program; this process ends with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const program = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
process.on('message', (message) => {
  if (message === 'stop') program.kill('SIGTERM');
});
process.on('disconnect', () => {
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    process.exit(1); // No group leader: nobody started it as one.
  }
});
program.once('error', (error) => {
  process.stderr.write(`${command} could not be started: ${error.message}\n`);
  process.exit(127);
});
// As shells say it.
program.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGKILL' ? 137 : signal === 'SIGTERM' ? 143 : 1)));
