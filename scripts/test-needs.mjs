/** What suites need beside node modules: a browser, and a home that is not the user's. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  const apt = findOnPath(['apt-get']);
  if (!apt || process.getuid?.() !== 0) {
    throw new StepError('failed: the browser tests need Chromium: install it (Debian: apt-get install chromium), or set CHROMIUM_PATH');
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await step('Chromium (apt-get)', async () => {
    await run(apt, ['update'], { env });
    await run(apt, ['install', '-y', '--no-install-recommends', 'chromium'], { env });
  });
  const installed = findOnPath(BROWSERS);
  if (!installed) throw new StepError('failed: apt-get installed chromium, but it is not on PATH');
  return installed;
}

/** Path of the interpreter that trains; makes its environment, 6 GB, where it is not in the cache. */
export async function findOrMakePython() {
  const script = fileURLToPath(new URL('python-env.mjs', import.meta.url));
  return step('Python for training', () => run(process.execPath, [script]));
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
