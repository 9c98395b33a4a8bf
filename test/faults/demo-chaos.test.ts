/** What `demo --chaos` does, on a run that is smaller than the demo; and what it refuses. */
import { jest } from '@jest/globals';
import { join } from 'node:path';
import { cli, cliJson, ROOT, scratch, startNode } from '../support/cli.js';
import { processesNaming } from '../support/processes.js';
import type { RunDocument } from '../support/runs.js';
import { CONTROL, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

test('worker, host and server are killed, said so, and started again; the results are those of a run that nobody disturbed', async () => {
  const folder = scratch();
  const recipe = writeRecipe(folder, { limit: 8, steps: 20, arms: [CONTROL, WRITTEN] });
  const store = join(folder, 'disturbed');
  const of = (file: string) => JSON.stringify(join(ROOT, 'dist/app', file));
  const script = `
    const { prepare } = await import(${of('cli/commands/run.js')});
    const { executeRun } = await import(${of('cli/execute-run.js')});
    const { disturb } = await import(${of('cli/chaos.js')});
    const { resultsDigest } = await import(${of('report/index.js')});
    const prepared = await prepare(${JSON.stringify(recipe)}, { set: [], run: 'r', store: ${JSON.stringify(store)} });
    let crashes;
    const during = (embedded, name, say) => { crashes = disturb(embedded, name, 7, say); };
    const { status, report, embedded } = await executeRun(prepared, { supervised: true, during });
    console.log(JSON.stringify({ status, digest: resultsDigest(report.results), crashes: await crashes }));
    await embedded.stop();
    process.exit(0);`;
  const { code, stdout, stderr } = await startNode(['--input-type=module', '-e', script]).ended;
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const { status, digest, crashes } = JSON.parse(stdout) as { status: RunDocument; digest: string; crashes: Array<{ part: string }> };
  expect(status).toMatchObject({ state: 'completed', items: { total: 8, done: 8, failed: 0 } });
  expect(crashes.map(({ part }) => part).sort()).toEqual(['host', 'server', 'worker']);
  for (const what of ['the Temporal server', 'worker', 'the inference host of the gpu worker'])
    expect(stderr).toMatch(new RegExp(`killed .*${what}`));
  expect(processesNaming(store)).toEqual([]);
  const calm = await cliJson<RunDocument & { resultsDigest: string }>(['run', recipe, '--run', 'calm', '--store', join(folder, 'calm')]);
  expect(calm.resultsDigest).toBe(digest);
});

test.each([
  [['--seed', '7'], '--seed is of --chaos'],
  [['--chaos', '--address', '127.0.0.1:1'], 'kills a server and workers of its own'],
])('refused: demo %j', async (args, reason) => {
  expect(await cli(['demo', ...args, '--store', join(scratch(), 'store')])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(reason),
  });
});
