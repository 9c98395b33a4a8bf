import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import importX from 'eslint-plugin-import-x';
import { builtinModules } from 'node:module';
import tseslint from 'typescript-eslint';

const FOLDERS = ['core', 'engine', 'activities', 'workflows', 'workers', 'app'];

/** What each folder may import of the project, beside itself. The arrows of the architecture; see CONTRIBUTING.md. */
const MAY_IMPORT = {
  core: [],
  engine: ['core'],
  activities: ['engine', 'core'],
  workflows: ['core', 'activities'], // activities: types only, see below
  workers: ['workflows', 'activities', 'engine', 'core'],
  app: ['workers', 'workflows', 'activities', 'engine', 'core'],
};

const arrows = FOLDERS.flatMap((target) =>
  FOLDERS.filter((from) => from !== target && !MAY_IMPORT[target].includes(from)).map((from) => ({
    target: `./${target}`,
    from: `./${from}`,
    message: `${target}/ may import ${MAY_IMPORT[target].join(', ') || 'nothing of the project'}, not ${from}/ (see CONTRIBUTING.md, "Folders and arrows").`,
  })),
);

/** Only the embedded commands start workers; everything else talks through the Temporal client and the stores. */
const embeddedOnly = ['client', 'recipe', 'report', 'web'].map((folder) => ({
  target: `./app/${folder}`,
  from: './workers',
  message: 'Only app/cli and app/embedded import workers (see CONTRIBUTING.md, "Folders and arrows").',
}));

const NODE_BUILT_INS = builtinModules.filter((name) => !name.startsWith('_')).flatMap((name) => [name, `node:${name}`]);
const noNodeBuiltIns = NODE_BUILT_INS.map((name) => ({
  name,
  message: 'core/ and workflows/ run in the workflow sandbox, which has no Node.',
}));
const noEdgeLibraries = [{ name: 'zod', message: 'zod is for the edges (recipe, rows, HTTP); in workflows it costs a copy per isolate.' }];
const noActivityCode = [
  {
    regex: '(^|/)activities/',
    allowTypeImports: true,
    message: 'Workflows import the types of activities only: their code needs a machine. Use `import type`.',
  },
];

/** Globals that the workflow sandbox lacks, or that answer differently when a history is replayed. */
const nonDeterministicGlobals = [
  'process',
  'fetch',
  'Buffer',
  'require',
  'setImmediate',
  'queueMicrotask',
  'performance',
  'crypto',
  '__dirname',
].map((name) => ({ name, message: 'Not deterministic, or not there, in the workflow sandbox.' }));

/** core/ also runs outside of workflows, where the SDK does not replace the clock, chance and timers by replayable ones. */
const unpatchedInCore = ['setTimeout', 'setInterval'].map((name) => ({ name, message: 'core/ is pure: no timers.' }));
const clockAndChance = [
  { object: 'Date', property: 'now', message: 'core/ is pure: take the time as an argument.' },
  { object: 'Math', property: 'random', message: 'core/ is pure: use a seeded generator (core/seeds.ts).' },
];
const newDate = [
  { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: 'core/ is pure: take the time as an argument.' },
];

export default tseslint.config(
  { ignores: ['**/node_modules/', 'dist/', 'runs/', 'coverage/', 'examples/**/dist/', 'test/**/histories/', 'models/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver()] },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/require-await': 'off', // An implementation of an asynchronous interface may have nothing to wait for.
      '@typescript-eslint/unbound-method': 'off', // Records of functions are declared with method signatures throughout.
      eqeqeq: 'error',
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones: [...arrows, ...embeddedOnly] }],
      'import-x/no-cycle': 'error',
    },
  },
  {
    files: ['core/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: [...noNodeBuiltIns, ...noEdgeLibraries],
          patterns: [{ regex: '^@temporalio/', message: 'core/ knows nothing of Temporal.' }],
        },
      ],
      'no-restricted-globals': ['error', ...nonDeterministicGlobals, ...unpatchedInCore],
      'no-restricted-properties': ['error', ...clockAndChance],
      'no-restricted-syntax': ['error', ...newDate],
    },
  },
  {
    files: ['workflows/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', { paths: [...noNodeBuiltIns, ...noEdgeLibraries], patterns: noActivityCode }],
      'no-restricted-globals': ['error', ...nonDeterministicGlobals],
      'no-restricted-properties': ['error', { object: 'globalThis', property: 'process', message: 'The sandbox has no process.' }],
    },
  },
  {
    files: ['engine/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^@temporalio/', message: 'engine/ knows nothing of Temporal.' }] },
      ],
    },
  },
  {
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: {
      // Matchers such as expect.any() are typed `any` by jest.
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
  { files: ['**/*.{js,mjs}'], rules: { eqeqeq: 'error', 'no-unused-vars': 'error' } },
);
