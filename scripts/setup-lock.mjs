/** One set-up at a time per checkout: a demo and a test started side by side must not install over each other. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { say, hashOf, StepError } from './setup-step.mjs';
import { cacheFolder } from './temporal-cli.mjs';

const WAIT_MS = 10 * 60_000;

/** Waits for the lock of a checkout and returns the function that gives it back. A dead holder's lock is taken over. */
export async function holdLock(root) {
  const file = join(cacheFolder(), 'locks', `setup-${hashOf([root]).slice(0, 16)}`);
  mkdirSync(dirname(file), { recursive: true });
  const deadline = Date.now() + WAIT_MS;
  for (let said = false; ;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      const remove = () => rmSync(file, { force: true });
      process.once('exit', remove);
      return () => {
        process.off('exit', remove); // By then the lock may be another's.
        remove();
      };
    } catch (error) {
      if (error.code !== 'EEXIST')
        throw new StepError(`failed: ${error.message}\n  -> The cache folder must be writable; XDG_CACHE_HOME names another.`);
    }
    const holder = readHolder(file);
    if (holder !== null && !isAlive(holder)) rmSync(file, { force: true });
    else {
      if (!said) say(`  waiting for another set-up of this checkout (process ${holder ?? 'unknown'})`);
      said = true;
      if (Date.now() > deadline) throw new StepError(`failed: another set-up holds ${file}; remove it if none is running`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

function readHolder(file) {
  if (!existsSync(file)) return null;
  const pid = Number(readFileSync(file, 'utf8'));
  return Number.isInteger(pid) && pid > 0 ? pid : null;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
