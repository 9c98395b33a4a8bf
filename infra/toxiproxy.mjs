/** Toxiproxy, which makes the network between two processes slow or breaks it on request: for the tests of faults. */
import { spawn } from 'node:child_process';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cachedBinary, goInstall } from '../scripts/cached-binary.mjs';
import { StepError } from '../scripts/setup-step.mjs';

/** MIT licence; it runs beside this program and is no part of it. */
const VERSION = 'v2.12.0';
const NAME = 'toxiproxy-server';

/** Path of the server, which is built with Go where there is none. @throws StepError with what to do */
export function findOrInstallToxiproxy() {
  return cachedBinary(NAME, VERSION, async (folder) => {
    await goInstall('Toxiproxy, half a minute once', `github.com/Shopify/toxiproxy/v2/cmd/server@${VERSION}`, folder);
    renameSync(join(folder, 'server'), join(folder, NAME));
  });
}

/** Starts it on the loopback interface and waits until its API answers. @throws StepError */
export async function startToxiproxy({ port, stdio = 'ignore' }) {
  const server = spawn(await findOrInstallToxiproxy(), ['-host', '127.0.0.1', '-port', String(port)], { stdio });
  const api = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 100; tries++) {
    await sleep(100);
    if (server.exitCode !== null) throw new StepError(`failed: Toxiproxy ended at once (exit code ${server.exitCode})`);
    const ready = await fetch(`${api}/version`).then(
      (reply) => reply.ok,
      () => false,
    );
    if (ready) return { server, api };
  }
  server.kill('SIGKILL');
  throw new StepError(`failed: Toxiproxy does not answer on ${api}`);
}
