/** What suites need beside node modules: a browser, and a home that is not the user's. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run, step, StepError } from './setup-step.mjs';
import { cacheFolder, findOnPath } from './temporal-cli.mjs';

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Path of a Chromium; installs Debian's where that can be done without asking. */
export async function findOrInstallChromium() {
  const named = process.env.CHROMIUM_PATH;
  if (named) {
    if (existsSync(named)) return named;
    throw new StepError(`failed: CHROMIUM_PATH names ${named}, which is not there`);
  }
  const found = findOnPath(BROWSERS);
  if (found) return found;
  await aptInstall(
    'Chromium',
    'chromium',
    'the browser tests need Chromium: install it (Debian: apt-get install chromium), or set CHROMIUM_PATH',
  );
  const installed = findOnPath(BROWSERS);
  if (!installed) throw new StepError('failed: apt-get installed chromium, but it is not on PATH');
  return installed;
}

/** Where Debian and Ubuntu put the library that gives a process a clock of its own; the one for programs with threads. */
const FAKETIME = ['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`);

/** Path of libfaketime, to be preloaded; installs Debian's where that can be done without asking. */
export async function findOrInstallFaketime() {
  const find = () => FAKETIME.find((path) => existsSync(path));
  if (find()) return find();
  await aptInstall(
    'libfaketime',
    'libfaketime',
    'the test of clocks that jump needs libfaketime: install it (Debian: apt-get install libfaketime)',
  );
  if (!find()) throw new StepError('failed: apt-get installed libfaketime, but not where it is looked for');
  return find();
}

/** @param otherwise what to say where only a person can install it */
async function aptInstall(title, name, otherwise) {
  const apt = findOnPath(['apt-get']);
  if (!apt || process.getuid?.() !== 0) throw new StepError(`failed: ${otherwise}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await step(`${title} (apt-get)`, async () => {
    await run(apt, ['update'], { env });
    await run(apt, ['install', '-y', '--no-install-recommends', name], { env });
  });
}

/**
 * The environment for tests: a home of their own, so that no test reads or writes the user's files. What is large or
 * says how to reach registries stays where it is.
 */
export function testEnvironment() {
  const home = mkdtempSync(join(tmpdir(), 'refineloop-home-'));
  const real = homedir();
  const keep = (name, path) => (process.env[name] === undefined && existsSync(path) ? { [name]: path } : {});
  const cache = dirname(cacheFolder());
  mkdirSync(cache, { recursive: true });
  return {
    env: {
      ...process.env,
      ...keep('PYENV_ROOT', join(real, '.pyenv')),
      ...keep('npm_config_userconfig', join(real, '.npmrc')),
      ...keep('npm_config_cache', join(real, '.npm')),
      ...keep('PIP_CONFIG_FILE', join(real, '.config', 'pip', 'pip.conf')),
      ...keep('GOPATH', join(real, 'go')),
      ...keep('GIT_CONFIG_GLOBAL', join(real, '.gitconfig')),
      ...keep('DOCKER_CONFIG', join(real, '.docker')),
      XDG_CACHE_HOME: cache,
      XDG_CONFIG_HOME: join(home, '.config'),
      HOME: home,
    },
    remove: () => rmSync(home, { recursive: true, force: true, maxRetries: 3 }),
  };
}
