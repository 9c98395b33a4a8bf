/**
 * Keeps a server from outliving the process that started it. Forked in a process group of its own, so that a Ctrl-C in
 * the terminal reaches neither it nor the server; ends the server when the parent says so or is gone, even by SIGKILL.
 */
import { spawn } from 'node:child_process';

const [command, ...args] = process.argv.slice(2);
const server = spawn(command!, args, { stdio: ['ignore', 'inherit', 'inherit'] });
const KILL_AFTER_MS = 5_000;

function stop(): void {
  server.kill('SIGTERM');
  setTimeout(() => server.kill('SIGKILL'), KILL_AFTER_MS).unref();
}

process.on('disconnect', stop);
process.on('message', stop);
process.on('SIGINT', () => undefined);
process.on('SIGTERM', stop);
server.on('error', (error) => {
  process.send?.({ error: error.message });
  process.exit(1);
});
server.on('exit', (code) => process.exit(code ?? 1));
