/** Which suites there are, and in which order they run. */
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** Quick and basic ones first: what they break, the others break on. Suites that are not listed come last, by name. */
const ORDER = [
  'core',
  'engine',
  'workflows',
  'activities',
  'workers',
  'app',
  'test/lint',
  'test/parity',
  'test/storage',
  'test/temporal',
  'test/replay',
  'test/faults',
  'test/browser',
  'test/training',
];
const TEST_ROOTS = ['core', 'engine', 'workflows', 'activities', 'workers', 'app', 'test'];
/** Folders whose subfolders are suites of their own. */
const SPLIT = ['engine', 'app', 'test'];

/**
 * All suites that hold a file which a filter matches (without filters: all), with those files.
 * @returns {Array<{name: string, files: string[]}>}
 */
export function findSuites(root, filters) {
  const suites = new Map();
  // From the beginning of a word: `core` is not `pixel-scores`.
  const matches = (file) =>
    filters.some((filter) => file.startsWith(filter) || ['/', '-', '.'].some((mark) => file.includes(mark + filter)));
  for (const file of TEST_ROOTS.flatMap((folder) => testFiles(root, folder))) {
    const [top, second, ...rest] = file.split('/');
    const name = SPLIT.includes(top) && rest.length > 0 ? `${top}/${second}` : top;
    if (filters.length > 0 && !matches(file)) continue;
    suites.set(name, [...(suites.get(name) ?? []), file]);
  }
  return [...suites]
    .map(([name, files]) => ({ name, files: files.sort() }))
    .sort((a, b) => rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : 1));
}

function testFiles(root, folder) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() &&
        entry.name.endsWith('.test.ts') &&
        !/[\\/](node_modules|dist|runs)([\\/]|$)/.test(relative(root, entry.parentPath)),
    )
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));
}

function rank(name) {
  const at = ORDER.findIndex((known) => name === known || name.startsWith(`${known}/`));
  return at < 0 ? ORDER.length : at;
}
