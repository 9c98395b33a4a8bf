/**
 * Everything around a run breaks, by a schedule that its seed replays, and the results stay the same to the byte. Here 40 items and 16 faults;
 * `npm run chaos -- --items 200 --faults 30 --seed 7` runs the same at length (docs/faults.md).
 */
import { jest } from '@jest/globals';
import { cli, cliJson } from '../support/cli.js';
import type { RunDocument, StatusDocument } from '../support/runs.js';
import { runInChaos, RUN, type Chaos } from './chaos-run.js';
import { explain, surplusOf } from './explain.js';
import { FAULTS } from './schedule.js';

/** How much of it: `[items, faults, seed]`, as test/faults/long.mjs gives it. */
const [ITEMS, N, SEED] = JSON.parse(process.env['CHAOS'] ?? `[40, ${Object.keys(FAULTS).length}, 7]`) as [number, number, number];
const say = (line: string) => void process.stderr.write(`chaos: ${line}\n`);

// MinIO and Toxiproxy are built once on a machine, in minutes.
jest.setTimeout(3_600_000);

let chaos: Chaos;
beforeAll(async () => {
  chaos = await runInChaos({ items: ITEMS, faults: N, seed: SEED, say });
});
afterAll(() => chaos?.close());

test('every item is accounted for', async () => {
  expect(chaos.struck).toHaveLength(N);
  const status = await cliJson<StatusDocument>(['status', RUN, ...chaos.disturbed.on]);
  expect(status).toMatchObject({ state: 'completed', items: { total: ITEMS, done: ITEMS, failed: 0, skipped: 0, cancelled: 0 } });
});

test('workers that lose their server say so on stderr alone', () => {
  expect(chaos.stdout).toBe('');
});

test('executed steps are the unique steps and the attempts that were in flight at the faults', () => {
  const [calm, wild] = [explain(chaos.undisturbed.lines, []), explain(chaos.disturbed.lines, chaos.struck)];
  const surplus = surplusOf(wild);
  say(`${wild.attempts} attempts = ${wild.unique} unique steps + ${surplus} in flight at faults: ${JSON.stringify(wild.surplus)}`);
  expect(calm).toMatchObject({ attempts: calm.unique, surplus: {}, unexplained: [] });
  expect(wild.unexplained).toEqual([]);
  expect(wild.attempts).toBe(wild.unique + surplus);
  expect(stepsOf(chaos.disturbed.lines)).toEqual(stepsOf(chaos.undisturbed.lines));
});

test('the results are those of an undisturbed run, to the byte', async () => {
  const report = async ({ on }: { on: string[] }) => (await cli(['report', RUN, '--json', ...on])).stdout;
  const [calm, wild] = [await report(chaos.undisturbed), await report(chaos.disturbed)];
  expect(wild.length).toBeGreaterThan(1_000);
  expect(wild).toBe(calm);
});

test('verify names the pictures that were spoilt, and another run makes them again', async () => {
  const { store, on } = chaos.disturbed;
  const checked = await Promise.all(chaos.spoilt.map(async (digest) => ({ digest, is: await store.artifacts.checkArtifact(digest) })));
  // One may have been made once more by a worker that was frozen, and so be whole.
  const corrupt = checked.filter(({ is }) => is !== 'intact').map(({ digest }) => digest);
  expect(await cliJson(['verify', RUN, ...on], corrupt.length > 0 ? 1 : 0)).toMatchObject({ corrupt: corrupt.sort(), missing: [] });
  const healed = await cliJson<RunDocument>(['run', chaos.recipe, '--run', 'healed', ...on]);
  expect(healed).toMatchObject({ state: 'completed', steps: { executed: corrupt.length } });
  expect(await cliJson(['verify', RUN, ...on])).toMatchObject({ corrupt: [], missing: [] });
});

/** Which steps of which items have a result. */
function stepsOf(lines: Chaos['disturbed']['lines']): string[] {
  const steps = lines.flatMap((line) =>
    line.row === 'end' ? [] : [[line.item, line.arm, line.round, line.step, line.draw, line.key].join(' ')],
  );
  return [...new Set(steps)].sort();
}
