/** One small run from its start to its repair, through the command line alone. */
import { jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli, cliJson, ROOT, scratch, startNode } from '../support/cli.js';
import { processesNaming } from '../support/processes.js';
import { executedTwice, type LedgerRow, type RunDocument, type StatusDocument } from '../support/runs.js';
import { writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(120_000);

const folder = scratch();
const store = join(folder, 'store');
const recipe = writeRecipe(folder);
/** Steps of the run, of which a few are the same: the placebo's feedback is another item's. */
const STEPS = 3 * (2 + 4 * 4 + 2);
let first: RunDocument;

interface Report {
  runId: string;
  recipe: { name: string };
  primary: string;
  items: Array<{
    id: string;
    caption: string;
    state: string;
    trainedOn: unknown;
    trueImage: string;
    arms: Array<{
      name: string;
      oracle: boolean;
      state: string;
      rounds: Array<{
        round: number;
        prompt: string;
        feedback: string | null;
        image: string;
        seed: number;
        tokens: { used: number; cut: number };
        scores: Record<string, number>;
      }>;
      best: { round: number };
      gain: Record<string, number>;
    }>;
  }>;
  arms: Array<{
    name: string;
    oracle: boolean;
    n: number;
    generatorCalls: number;
    scores: Record<string, { mean: number; fixed: Record<string, unknown>; best: unknown; stopped: unknown }>;
  }>;
}

const on = (...args: string[]) => [...args, '--store', store];

beforeAll(async () => {
  first = await cliJson<RunDocument>(on('run', recipe, '--run', 'one'));
}, 120_000);

test('run --json prints the status, and where report, store and UI are', () => {
  expect(first).toMatchObject({
    runId: 'one',
    state: 'completed',
    items: { total: 3, pending: 0, running: 0, waiting: 0, done: 3, failed: 0, skipped: 0, cancelled: 0 },
    steps: { executed: expect.any(Number), cached: expect.any(Number), retried: 0 },
    startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    elapsedSeconds: expect.any(Number),
    etaSeconds: null,
    store: `file://${store}`,
    ui: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/one$/),
    report: join(store, 'runs/one/report/index.html'),
  });
  expect(existsSync(first.report!)).toBe(true);
  // An item: two references; round 0 and three arms with an image, an embedding by two encoders and a score; two arms with feedback.
  expect(first.steps.executed + first.steps.cached).toBe(STEPS);
});

test('nothing of it runs on', () => {
  expect(processesNaming(store)).toEqual([]);
  expect(existsSync(join(store, '.refineloop/server.json'))).toBe(false);
});

test('status reads the store when the server is gone', async () => {
  const { report: _, ui: __, store: ___, resultsDigest: ____, ...kept } = first;
  expect(await cliJson<StatusDocument>(on('status', 'one'))).toMatchObject({
    ...kept,
    source: 'store',
    elapsedSeconds: expect.any(Number),
  });
});

test('report --json has the fields that scripts read', async () => {
  const report = await cliJson<Report>(on('report', 'one'));
  expect(report).toMatchObject({ runId: 'one', recipe: { name: 'small' }, primary: 'image_similarity' });
  expect(report.items.map((item) => item.id)).toEqual(['creature-0601', 'creature-0602', 'creature-0603']);
  const digest = expect.stringMatching(/^sha256:[0-9a-f]{64}$/);
  const scores = { image_similarity: expect.any(Number), clip_text: expect.any(Number), ssim: expect.any(Number) };
  for (const item of report.items) {
    expect(item).toMatchObject({
      caption: expect.any(String),
      state: expect.stringMatching(/^(improved|unchanged|uncurable)$/),
      trueImage: digest,
    });
    expect(item).toHaveProperty('trainedOn');
    expect(item.arms.map((arm) => [arm.name, arm.oracle])).toEqual([
      ['control', false],
      ['written', true],
      ['placebo', false],
    ]);
    for (const arm of item.arms) {
      expect(arm).toMatchObject({
        state: expect.stringMatching(/^(improved|unchanged|worse)$/),
        best: { round: expect.any(Number) },
        gain: scores,
      });
      expect(arm.rounds.map((round) => round.round)).toEqual([0, 1]);
      for (const round of arm.rounds) {
        expect(round).toMatchObject({
          prompt: expect.stringContaining(item.caption.replace(/\.$/, '')),
          image: digest,
          seed: expect.any(Number),
          tokens: { used: expect.any(Number), cut: expect.any(Number) },
          scores,
        });
      }
      expect(typeof arm.rounds[1]!.feedback).toBe(arm.name === 'control' ? 'object' : 'string');
    }
    expect(new Set(item.arms.map((arm) => arm.rounds[0]!.image)).size).toBe(1);
  }
  for (const arm of report.arms) {
    expect(arm).toMatchObject({ name: expect.any(String), oracle: expect.any(Boolean), n: 3, generatorCalls: expect.any(Number) });
    expect(arm.scores['image_similarity']).toMatchObject({
      mean: expect.any(Number),
      fixed: { gainMean: expect.any(Number), ci95: expect.any(Array), winRate: expect.any(Number) },
      best: expect.any(Object),
      stopped: expect.any(Object),
    });
  }
  expect(report.arms.find((arm) => arm.name === 'written')!.scores['image_similarity']!.fixed).toMatchObject({
    vsControl: { mean: expect.any(Number), ci95: expect.any(Array) },
  });
});

test('items, show and ledger print what is recorded', async () => {
  const items = await cliJson<Array<{ id: string; state: string }>>(on('items', 'one'));
  expect(items.map((item) => item.id)).toEqual(['creature-0601', 'creature-0602', 'creature-0603']);
  expect(await cliJson(on('items', 'one', '--status', 'failed'))).toEqual([]);

  const shown = await cliJson<{ arms: Array<{ name: string; rounds: Array<{ prompt: string; feedback: string | null }> }> }>(
    on('show', 'one', 'creature-0601'),
  );
  const written = shown.arms.find((arm) => arm.name === 'written')!.rounds[1]!;
  expect(written.feedback).toContain('It should stand against a green background');
  expect(written.prompt).toBe(`A cartoon creature with butterfly wings. ${written.feedback}`);

  const ledger = await cliJson<LedgerRow[]>(on('ledger', 'one'));
  expect(ledger).toHaveLength(STEPS);
  expect(ledger.filter((row) => row.status === 'completed')).toHaveLength(first.steps.executed);
  expect(ledger.filter((row) => row.status !== 'completed').every((row) => row.status === 'recorded' && row.step === 'feedback')).toBe(
    true,
  );
  for (const row of ledger) {
    expect(Object.keys(row).sort()).toEqual(
      ['arm', 'attempt', 'bytes', 'device', 'draw', 'error', 'item', 'key', 'round', 'seconds', 'status', 'step', 'tokens', 'usd'].sort(),
    );
    expect(row.key).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(executedTwice(ledger)).toEqual([]);
  expect(ledger.filter((row) => row.step === 'generate')).toHaveLength(3 * 4);
});

test('without --json people get tables and no escape codes where output is piped or NO_COLOR is set', async () => {
  const escape = '\u001b[';
  const coloured = await cli(on('items', 'one'), { env: { FORCE_COLOR: '1' } });
  expect(coloured.stdout).toContain(escape);
  for (const env of [{}, { FORCE_COLOR: '1', NO_COLOR: '1' }] as Array<Record<string, string>>) {
    const { code, stdout, stderr } = await cli(on('items', 'one'), { env });
    expect({ code, escapes: (stdout + stderr).includes(escape) }).toEqual({ code: 0, escapes: false });
    expect(stdout).toContain('creature-0602');
  }
});

test('the same id and recipe again is the same run: nothing is executed', async () => {
  const again = await cliJson<RunDocument>(on('run', recipe, '--run', 'one'));
  expect(again).toMatchObject({ state: 'completed', steps: first.steps, startedAt: first.startedAt, report: first.report });
  expect(await cliJson<LedgerRow[]>(on('ledger', 'one'))).toHaveLength(STEPS);
});

test('the same id with another recipe is refused', async () => {
  const { code, stderr } = await cli(on('run', recipe, '--run', 'one', '--set', 'seed=8'));
  expect(code).toBe(2);
  expect(stderr).toMatch(/run one is there already with another recipe.*--run/);
});

test.each(['status', 'items', 'report', 'compare', 'retry', 'cancel'])('%s of an unknown run is a usage error', async (command) => {
  const { code, stderr } = await cli(on(command, 'nobody', ...(command === 'compare' ? ['one'] : [])));
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('no run nobody in') });
  expect(stderr).toContain('known runs: one');
});

test.each([
  ['Channel has been shut down', 0],
  ['anything else', 1],
])('"%s", thrown where nobody can catch it, ends a command with %i', async (message, code) => {
  // As the Temporal client's timer does it: from outside, once the command is ready for it.
  const thrower = `process.on('newListener', (name) => name === 'uncaughtException' && setTimeout(() => { throw new Error('${message}') }))`;
  const preload = `data:text/javascript,${encodeURIComponent(thrower)}`;
  const result = await startNode(['--import', preload, join(ROOT, 'bin/refineloop.js'), ...on('items', 'one')]).ended;
  expect({ code: result.code, said: result.stderr.includes(message) }).toEqual({ code, said: code === 1 });
});

test('a reader that is slower than the program gets all of its output', async () => {
  const long = join(folder, 'long');
  cpSync(store, long, { recursive: true });
  const records = join(long, 'runs/one/items');
  const record = join(records, readdirSync(records)[0]!);
  const item = JSON.parse(readFileSync(record, 'utf8')) as { arms: Array<{ rounds: Array<{ feedback: { text: string } | null }> }> };
  item.arms[1]!.rounds[1]!.feedback!.text = 'word '.repeat(20_000);
  writeFileSync(record, JSON.stringify(item));
  const command = `"${process.execPath}" bin/refineloop.js report one --json --store "${long}" | (sleep 2; cat)`;
  const read = execFileSync('sh', ['-c', command], { encoding: 'utf8', cwd: ROOT, maxBuffer: 2 ** 26 });
  expect(read.length).toBeGreaterThan(65_536); // What a pipe holds.
  expect(read).toBe(readFileSync(join(long, 'runs/one/report/report.json'), 'utf8'));
});

test('report --policy looks at the run under another stop, beside its own report; --feedback-set finds what was copied', async () => {
  const own = readFileSync(join(store, 'runs/one/report/report.json'), 'utf8');
  const gated = await cliJson<Report & { deviations: string[] }>(on('report', 'one', '--policy', 'gate.score=-1'));
  expect(gated.deviations[0]).toMatch(/^Replayed under gate\.score=-1 /);
  expect(gated.arms.map(({ name, generatorCalls }) => [name, generatorCalls])).toEqual([['control', 3], ['written', 0], ['placebo', 0]]); // prettier-ignore
  expect(readFileSync(join(store, 'runs/one/report/report.json'), 'utf8')).toBe(own);
  expect(existsSync(join(store, 'runs/one/report/policy/gate.score--1/index.html'))).toBe(true);

  const set = join(folder, 'feedback.txt');
  const said = (JSON.parse(own) as Report).items[0]!.arms[1]!.rounds[1]!.feedback!;
  writeFileSync(set, `${said}\n`);
  const held = await cliJson<{ arms: Array<{ copied: { verbatim: number; texts: number } | null }> }>(
    on('report', 'one', '--feedback-set', set, '--out', join(folder, 'held')),
  );
  expect(held.arms.map(({ copied }) => copied && [copied.verbatim, copied.texts])).toEqual([null, [1, 3], expect.anything()]);
});

test('export --as feedback-set writes what a person’s words teach, and the report holds an arm against it', async () => {
  const dest = join(folder, 'set');
  const set = await cliJson<{ counts: Record<string, number>; arm: string; left: unknown[] }>(
    on('export', 'one', dest, '--as', 'feedback-set', '--seed', '7', '--validation', '0.34'),
  );
  expect(set).toMatchObject({ arm: 'written', counts: { train: 2, validation: 1 }, left: [] });
  const held = await cliJson<{ arms: Array<{ copied: { verbatim: number; texts: number } | null }> }>(
    on('report', 'one', '--feedback-set', dest, '--out', join(folder, 'held-set')),
  );
  expect(held.arms.map(({ copied }) => copied && [copied.verbatim, copied.texts])).toEqual([null, [2, 3], [2, 3]]);
  const refused = await cli(on('export', 'one', join(folder, 'pictures'), '--n', '2'));
  expect({ code: refused.code, stderr: refused.stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining('--n is for --as feedback-set'),
  });
});

test.each([
  ['stop.targt=0.3', /stop\.targt: did you mean stop\.target\?/],
  ['rounds=3', /rounds: .*takes a run of its own/],
  ['stop.target=7', /stop\.target: 7 is outside the range of clip_text/],
  ['stop.patience=soon', /stop\.patience: expected a whole number/],
  ['scores.select=image_similarity', /scores\.select: image_similarity needs the true image/],
])('report --policy %s is refused', async (policy, message) => {
  const { code, stderr } = await cli(on('report', 'one', '--policy', policy));
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
});

test('retry with nothing failed has nothing to do', async () => {
  expect(await cliJson<StatusDocument>(on('retry', 'one'))).toMatchObject({ state: 'completed', items: { done: 3 } });
  const { code, stderr } = await cli(on('retry', 'one', '--item', 'nobody'));
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('"nobody"') });
});

test('verify names exactly the picture in which one byte is flipped, and a new run makes it again', async () => {
  interface Verification {
    checked: number;
    corrupt: string[];
    missing: string[];
  }
  expect(await cliJson<Verification>(on('verify', 'one'))).toMatchObject({ checked: expect.any(Number), corrupt: [], missing: [] });

  const report = await cliJson<Report>(on('report', 'one'));
  const digest = report.items[1]!.arms[0]!.rounds[1]!.image;
  const hex = digest.slice('sha256:'.length);
  const blob = join(store, 'blobs/sha256', hex.slice(0, 2), hex);
  const sound = readFileSync(blob);
  const spoilt = Buffer.from(sound);
  spoilt[spoilt.length >> 1]! ^= 1;
  writeFileSync(blob, spoilt);
  expect(await cliJson<Verification>(on('verify', 'one'), 1)).toMatchObject({ corrupt: [digest], missing: [] });

  const healed = await cliJson<RunDocument>(on('run', recipe, '--run', 'two'));
  expect(healed).toMatchObject({ state: 'completed', items: { done: 3 }, steps: { executed: 1 } });
  expect(readFileSync(blob).equals(sound)).toBe(true);
  expect(await cliJson<Verification>(on('verify', 'one'))).toMatchObject({ corrupt: [], missing: [] });
});

test('compare pairs two runs item by item', async () => {
  interface Comparison {
    items: unknown[];
    comparisons: Array<{ arm: string; gain: { n: number; mean: number } }>;
    differences: unknown[];
  }
  const { items, comparisons, differences } = await cliJson<Comparison>(on('compare', 'one', 'two'));
  expect(items).toEqual([expect.objectContaining({ runId: 'two', paired: 3, onlyFirst: 0 })]);
  expect(new Set(comparisons.map(({ gain }) => `${gain.n} ${gain.mean}`))).toEqual(new Set(['3 0']));
  expect(differences).toEqual([]);
  const { stdout } = await cli(on('compare', 'one', 'two'));
  expect(stdout).toContain('No arm gains clearly more or less');
});

test('gc refuses young runs, tells what would go, and deletes it only when told to', async () => {
  const refused = await cli(on('gc', '--keep', 'two'));
  expect({ code: refused.code, stderr: refused.stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/ended less than a day ago/) });
  for (const run of ['one', 'two']) {
    const file = join(store, 'runs', run, 'state.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"finishedAt":\s*"[^"]+"/, '"finishedAt": "2026-01-01T00:00:00.000Z"'));
  }
  interface Garbage {
    runs: string[];
    artifacts: number;
    deleted: boolean;
  }
  // Both runs are the same recipe: nothing but the records of the other one goes.
  expect(await cliJson<Garbage>(on('gc', '--keep', 'two'))).toMatchObject({ runs: ['one'], artifacts: 0, deleted: false });
  expect(existsSync(join(store, 'runs/one/manifest.json'))).toBe(true);
  expect(await cliJson<Garbage>(on('gc', '--keep', 'two', '--delete'))).toMatchObject({ runs: ['one'], deleted: true });
  expect(existsSync(join(store, 'runs/one'))).toBe(false);
  expect(await cliJson(on('verify', 'two'))).toMatchObject({ corrupt: [], missing: [], spoiltRecords: [] });
  expect(await cliJson<RunDocument>(on('run', recipe, '--run', 'three'))).toMatchObject({ steps: { executed: 0 } });
});
