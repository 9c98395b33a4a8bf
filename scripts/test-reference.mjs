#!/usr/bin/env node
/**
 * `npm run test:reference`: makes the references again in their pinned Python environments and compares them with what is committed.
 * `npm run test:reference -- diffusion` takes only the makers that the word names. The last line is `N passed, N failed`.
 *
 * Compared: of JSON every key, text and whole number exactly, fractions within 1e-5 of the larger of the number and 1, float32 that lie in base64 within 5e-5
 * of the largest of them (torch adds up in another order on another processor, and a schedule that begins at a sigma of 4096 makes 2e-5 of it),
 * 8-bit images within 1; of model folders which files there are, and each graph's inputs and outputs (names, types, shapes), as random weights need
 * not be the same bytes. What the makers write on the way is deleted.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession } from 'onnxruntime-node';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TOLERANCE = 1e-5;
const TOLERANCE_OF_LARGEST = 5e-5;
/** Differences of a file that are written out. */
const SHOWN = 5;

/** Of make_goldens.py, the sections that need nothing that is not in the repository. */
const SECTIONS = ['rng', 'tokenizer', 'schedulers', 'encoders', 'metrics', 'prompts', 'statistics'];

/** What makes references: its arguments for a fresh folder, what it makes there, and where that is committed. */
const makers = [
  ...readdirIfAny(join(ROOT, 'models/reference'))
    .filter((name) => name.endsWith('.py'))
    .map((name) => ({
      name: `reference/${name.slice(0, -3)}`,
      args: (out) => [join(ROOT, 'models/reference', name), '--out', out],
      committed: join(ROOT, 'models/reference/goldens'),
      made: [`${name.slice(0, -3)}.json`, `${name.slice(0, -3)}-models`],
    })),
  {
    name: 'export/paper-models',
    requirements: ['models/export/requirements.txt'],
    args: (out) => [join(ROOT, 'models/export/make_paper_models.py'), '--out', out],
    committed: join(ROOT, 'models/reference/goldens'),
    made: ['paper-models'],
  },
  ...SECTIONS.map((section) => ({
    name: `training/${section}`,
    args: (out) => [join(ROOT, 'models/training/make_goldens.py'), '--sections', section, '--out', out],
    committed: join(ROOT, 'models/training/goldens'),
    made: [`${section}.json`],
  })),
];

const words = process.argv.slice(2);
const chosen = makers.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
let [passed, failed] = [0, 0];
for (const maker of chosen) {
  const problems = await check(maker);
  if (problems.length === 0) passed++;
  else failed++;
  console.log(`${problems.length === 0 ? 'same' : 'DIFFERS'}: ${maker.name}`);
  problems.slice(0, SHOWN).forEach((problem) => console.log(`  ${problem}`));
  if (problems.length > SHOWN) console.log(`  and ${problems.length - SHOWN} more`);
}
if (chosen.length === 0) console.log(`no maker is called ${words.join(' or ')}; there are ${makers.map(({ name }) => name).join(', ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || chosen.length === 0 ? 1 : 0);

async function check({ args, committed, made, requirements }) {
  const out = mkdtempSync(join(tmpdir(), 'refineloop-reference-'));
  try {
    const run = spawnSync(interpreter(requirements), args(out), { stdio: ['ignore', 2, 2] });
    if (run.status !== 0) return [`the maker ended with ${run.status ?? run.signal}`];
    const files = (folder) => made.flatMap((name) => filesUnder(folder, name));
    const [before, now] = [files(committed), files(out)];
    const problems = [
      ...before.filter((file) => !now.includes(file)).map((file) => `${file} is committed and was not made`),
      ...now.filter((file) => !before.includes(file)).map((file) => `${file} was made and is not committed`),
    ];
    for (const file of before.filter((name) => now.includes(name))) {
      problems.push(...(await differences(file, join(committed, file), join(out, file))));
    }
    return before.length + now.length === 0 ? ['it made nothing'] : problems;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

async function differences(file, before, now) {
  if (file.endsWith('.onnx')) {
    const [a, b] = [await signature(before), await signature(now)];
    return a === b ? [] : [`${file}: its inputs and outputs are ${b}, committed are ${a}`];
  }
  if (file.includes('-models/') || !file.endsWith('.json')) return [];
  const found = [];
  compare(JSON.parse(readFileSync(before, 'utf8')), JSON.parse(readFileSync(now, 'utf8')), file, found);
  return found;
}

/** Names, types and shapes of a graph's inputs and outputs. */
async function signature(file) {
  const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
  const of = (values) => values.map(({ name, type, shape }) => `${name} ${type} [${shape}]`).join(', ');
  const text = `(${of(session.inputMetadata)}) -> (${of(session.outputMetadata)})`;
  await session.release();
  return text;
}

function compare(a, b, path, found) {
  if (typeof a === 'number' && typeof b === 'number') {
    const far = Number.isInteger(a) && Number.isInteger(b) ? a !== b : !near(a, b);
    if (far) found.push(`${path}: ${b}, committed is ${a}`);
  } else if (typeof a === 'string' && typeof b === 'string') {
    if (a !== b && !(path.endsWith('.imageBase64') ? sameImage(a, b) : sameFloats(a, b)))
      found.push(`${path}: ${clip(b)}, committed is ${clip(a)}`);
  } else if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null && Array.isArray(a) === Array.isArray(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (!(key in a)) found.push(`${path}.${key} is new`);
      else if (!(key in b)) found.push(`${path}.${key} is gone`);
      else compare(a[key], b[key], `${path}.${key}`, found);
    }
  } else if (a !== b) found.push(`${path}: ${clip(JSON.stringify(b))}, committed is ${clip(JSON.stringify(a))}`);
}

function near(a, b) {
  return Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a), Math.abs(b)) || Object.is(a, b);
}

/** Whether two texts are base64 of float32 numbers (little-endian) that are near, against the largest of them. */
function sameFloats(a, b) {
  if (a.length !== b.length || a.length < 8 || !/^[A-Za-z0-9+/]+={0,2}$/.test(a)) return false;
  const [x, y] = [a, b].map((text) => Buffer.from(text, 'base64'));
  if (x.length % 4 !== 0) return false;
  const [p, q] = [x, y].map((bytes) => Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(at * 4)));
  const allowed = TOLERANCE_OF_LARGEST * p.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return p.every((value, at) => Math.abs(value - q[at]) <= allowed || Object.is(value, q[at]));
}

/** Whether two texts are base64 of 8-bit values that differ by at most 1. */
function sameImage(a, b) {
  const [x, y] = [a, b].map((text) => Buffer.from(text, 'base64'));
  return x.length === y.length && x.every((value, at) => Math.abs(value - y[at]) <= 1);
}

function clip(text) {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function filesUnder(folder, name) {
  const path = join(folder, name);
  if (!existsSync(path)) return [];
  if (name.endsWith('.json')) return [name];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

function readdirIfAny(folder) {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** Of training's environment, or of the one with these requirements. */
function interpreter(requirements = []) {
  const made = spawnSync(process.execPath, [join(ROOT, 'scripts/python-env.mjs'), ...requirements], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (made.status !== 0) process.exit(1);
  return made.stdout.trim().split('\n').at(-1);
}
