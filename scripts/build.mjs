#!/usr/bin/env node
/**
 * Compiles the TypeScript into dist/ and bundles the workflows, each only if its sources changed. A worker that is given
 * the bundle starts several times faster than one that bundles for itself.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { hashOf, run, step, StepError } from './setup-step.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, 'dist');
const SOURCE_FOLDERS = ['core', 'workflows', 'activities', 'workers', 'engine', 'app'];
const BUNDLED_FOLDERS = ['core', 'workflows'];
const BUNDLE = join(DIST, 'workflow-bundle.js');
/** The same with OpenTelemetry's interceptors, so that workers without it carry none of them. */
const TRACED_BUNDLE = join(DIST, 'workflow-bundle-traced.js');
const TRACING = '@temporalio/interceptors-opentelemetry/lib/workflow-interceptors';
/** Files beside the sources that are served or read at run time: pages, styles, pictures. */
const ASSETS = ['.html', '.css', '.js', '.svg', '.png', '.ico', '.webmanifest'];

/** Brings dist/ up to date. Throws a StepError that holds the compiler's last lines. */
export async function build() {
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) => readFileSync(join(ROOT, name)));
  const compiled = hashOf([...settings, ...sourceParts(SOURCE_FOLDERS)]);
  await onceFor('compiled', compiled, join(DIST, 'core', 'index.js'), () =>
    step('compile', async () => {
      removeOrphans();
      await run(
        process.execPath,
        [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json', '--pretty', 'false'],
        {
          cwd: ROOT,
        },
      );
      copyAssets();
    }),
  );
  const bundled = hashOf([...settings, ...sourceParts(BUNDLED_FOLDERS)]);
  await onceFor('bundled', bundled, BUNDLE, () => step('bundle workflows', () => bundleWorkflows(BUNDLE)));
  const modules = [createRequire(import.meta.url).resolve(TRACING)];
  await onceFor('bundled-traced', bundled, TRACED_BUNDLE, () =>
    step('bundle workflows, traced', () => bundleWorkflows(TRACED_BUNDLE, modules)),
  );
}

/** Does the work unless its stamp says that it was done for these sources; the stamp is written last. */
async function onceFor(name, hash, product, work) {
  const stamp = join(DIST, `.${name}`);
  if (existsSync(product) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  rmSync(stamp, { force: true });
  await work();
  mkdirSync(DIST, { recursive: true });
  writeFileSync(`${stamp}.${process.pid}`, hash);
  renameSync(`${stamp}.${process.pid}`, stamp);
}

/** Names and contents of all sources, tests left out, in a fixed order. */
function* sourceParts(folders) {
  for (const file of folders.flatMap((folder) => filesUnder(join(ROOT, folder)))) {
    if (!isSource(file) && !ASSETS.includes(extname(file))) continue;
    yield relative(ROOT, file);
    yield readFileSync(file);
  }
}

function isSource(file) {
  return /\.(ts|json)$/.test(file) && !file.endsWith('.test.ts');
}

function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Compiled files whose source is gone would still be found by imports. */
function removeOrphans() {
  for (const folder of SOURCE_FOLDERS) {
    for (const file of filesUnder(join(DIST, folder))) {
      const inSources = join(ROOT, relative(DIST, file));
      const source = inSources.replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts');
      if (!existsSync(source) && !existsSync(inSources)) rmSync(file);
    }
  }
  // The compiler trusts its record of what it wrote: without it, it writes everything.
  if (!existsSync(join(DIST, 'core', 'index.js'))) rmSync(join(DIST, '.tsbuildinfo'), { force: true });
}

function copyAssets() {
  for (const file of filesUnder(join(ROOT, 'app'))) {
    if (ASSETS.includes(extname(file))) cpSync(file, join(DIST, relative(ROOT, file)));
  }
}

async function bundleWorkflows(bundle, workflowInterceptorModules = []) {
  const workflowsPath = join(DIST, 'workflows', 'index.js');
  if (!existsSync(workflowsPath)) throw new StepError('failed: workflows/index.ts is not there, so there is nothing to bundle');
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const said = [];
  const log = (level) => (message) => said.push(`${level}: ${message}`);
  const logger = {
    log: (level, message) => log(level)(message),
    trace() {},
    debug() {},
    info() {},
    warn: log('warn'),
    error: log('error'),
  };
  try {
    const { code } = await bundleWorkflowCode({ workflowsPath, workflowInterceptorModules, logger });
    writeFileSync(`${bundle}.${process.pid}`, code);
    renameSync(`${bundle}.${process.pid}`, bundle);
  } catch (error) {
    const lines = [...said, String(error)].join('\n').split('\n');
    throw new StepError(['failed: bundling the workflows', ...lines.slice(-15).map((line) => `  | ${line}`)].join('\n'));
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { runAsCommand } = await import('./setup.mjs');
  await runAsCommand('build', build);
}
