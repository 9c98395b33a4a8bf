/**
 * Keeps a server from outliving the process that started it. Forked in a process group of its own, so that a Ctrl-C in
 * the terminal reaches neither it nor the server; ends the server when the parent says so or is gone, even by SIGKILL.
 */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { claim } from './claim.js';

const [database, command, ...args] = process.argv.slice(2);

// Two servers on one SQLite file spoil it: the guard of one that was just killed holds the name until its server is gone.
const WAIT_MS = 15_000;
for (const until = Date.now() + WAIT_MS; !(await claim(`database-${database}`)); await sleep(100)) {
  if (Date.now() > until) {
    console.error(`another server still has the database after ${WAIT_MS / 1000} s`);
    process.exit(1);
  }
}
if (!process.connected) process.exit(0);

const server = spawn(command!, args, { stdio: ['ignore', 'inherit', 'inherit'] });
const KILL_AFTER_MS = 5_000;

function stop(): void {
  server.kill('SIGTERM');
  setTimeout(() => server.kill('SIGKILL'), KILL_AFTER_MS).unref();
}

process.on('disconnect', stop);
// A parent that wants to see what becomes of a server that is killed.
process.on('message', () => server.kill('SIGKILL'));
process.on('SIGINT', () => undefined);
process.on('SIGTERM', stop);
server.on('error', (error) => {
  process.send?.({ error: error.message });
  process.exit(1);
});
server.on('exit', (code) => process.exit(code ?? 1));
