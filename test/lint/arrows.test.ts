import { ESLint } from 'eslint';

/**
 * The rules are worth what they catch: each snippet stands in for a file and must be refused by the rule that is named,
 * or by none.
 */
const PATHS = 'import-x/no-restricted-paths';
const IMPORTS = '@typescript-eslint/no-restricted-imports';
const GLOBALS = 'no-restricted-globals';
const PROPERTIES = 'no-restricted-properties';

const SNIPPETS: Array<[file: string, code: string, rule: string | null]> = [
  // core imports nothing of the project, nor of Node, nor zod
  ['core/ids.ts', "import '../engine/storage/index.js';", PATHS],
  ['core/ids.ts', "import '../workflows/index.js';", PATHS],
  ['core/ids.ts', "import { join } from 'node:path'; export const x = join;", IMPORTS],
  ['core/ids.ts', "import { readFile } from 'fs/promises'; export const x = readFile;", IMPORTS],
  ['core/ids.ts', "import { z } from 'zod'; export const x = z;", IMPORTS],
  ['core/ids.ts', "import { sleep } from '@temporalio/workflow'; export const x = sleep;", IMPORTS],
  ['core/ids.ts', "import { sha256Hex } from './content-hash.js'; export const x = sha256Hex;", null],
  // the other arrows
  ['engine/storage/store.ts', "import '../../core/index.js';", null],
  ['engine/storage/store.ts', "import '../../activities/types.js';", PATHS],
  ['engine/storage/store.ts', "import '../../app/recipe/index.js';", PATHS],
  ['engine/storage/store.ts', "import { Context } from '@temporalio/activity'; export const x = Context;", IMPORTS],
  ['activities/types.ts', "import '../engine/storage/index.js';", null],
  ['activities/types.ts', "import '../workflows/index.js';", PATHS],
  ['activities/types.ts', "import '../workers/index.js';", PATHS],
  ['workflows/refine-item.ts', "import '../engine/storage/index.js';", PATHS],
  ['workflows/refine-item.ts', "import '../app/recipe/index.js';", PATHS],
  ['workers/index.ts', "import '../app/recipe/index.js';", PATHS],
  ['workers/index.ts', "import '../workflows/index.js';", null],
  // of the faces, only the embedded ones start workers
  ['app/recipe/index.ts', "import '../../workers/index.js';", PATHS],
  ['app/client/index.ts', "import '../../workers/index.js';", PATHS],
  ['app/embedded/start-embedded.ts', "import '../../workers/index.js';", null],
  // workflows see activities as types only
  ['workflows/refine-item.ts', "import * as activities from '../activities/types.js'; export const x = activities;", IMPORTS],
  ['workflows/refine-item.ts', "import type * as activities from '../activities/types.js'; export type X = typeof activities;", null],
  // what a replay would not repeat
  ['workflows/refine-item.ts', "import { randomUUID } from 'node:crypto'; export const x = randomUUID;", IMPORTS],
  ['workflows/refine-item.ts', "export const x = fetch('http://example.org');", GLOBALS],
  ['workflows/refine-item.ts', 'export const x = process.env;', GLOBALS],
  ['core/seeds.ts', 'export const x = Math.random();', PROPERTIES],
  ['core/seeds.ts', 'export const x = Date.now();', PROPERTIES],
  ['core/seeds.ts', 'export const x = new Date();', 'no-restricted-syntax'],
  ['core/seeds.ts', 'setTimeout(() => {}, 1);', GLOBALS],
  // everywhere
  ['app/recipe/index.ts', 'async function f() {} f(); export {};', '@typescript-eslint/no-floating-promises'],
  ['app/recipe/index.ts', 'export const x: any = 1;', '@typescript-eslint/no-explicit-any'],
];

const WATCHED = [PATHS, IMPORTS, GLOBALS, PROPERTIES, 'no-restricted-syntax'];
const eslint = new ESLint();

test.each(SNIPPETS)(
  '%s: %s',
  async (filePath, code, rule) => {
    const [result] = await eslint.lintText(code, { filePath });
    const fired = result!.messages.map((message) => message.ruleId ?? message.message);
    if (rule) expect(fired).toContain(rule);
    else expect(fired.filter((name) => WATCHED.includes(name))).toEqual([]);
  },
  60_000,
);
