#!/usr/bin/env node
// Checks what the program itself cannot check, because it would not even load, and hands over to it.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const main = new URL('../dist/app/cli/main.js', import.meta.url);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`refineloop needs Node 20.19 or newer; this is ${process.versions.node}`);
  process.exitCode = 1;
} else if (!existsSync(fileURLToPath(main))) {
  console.error('refineloop is not built yet: run `npm run setup` in its checkout');
  process.exitCode = 1;
} else {
  await import(main.href);
}
