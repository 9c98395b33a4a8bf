/** What another version of the workflows would be. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, scratch } from './cli.js';

/** A copy of the sources with one line changed. */
export function changed(file: string, from: string, to: string): string {
  const root = scratch();
  for (const folder of ['workflows', 'core', 'activities']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true });
  for (const name of ['node_modules', 'package.json', 'tsconfig.json']) symlinkSync(join(ROOT, name), join(root, name));
  const path = join(root, file);
  const source = readFileSync(path, 'utf8');
  if (!source.includes(from)) throw new Error(`${file} has no ${from}`);
  writeFileSync(path, source.replace(from, to));
  return root;
}
