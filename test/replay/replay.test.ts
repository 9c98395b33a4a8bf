/** Every recorded history must replay on the workflows as they are now: a change that breaks runs which are open fails here. */
import { jest } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { changed } from '../support/changed-workflows.js';
import { ROOT } from '../support/cli.js';

jest.setTimeout(120_000);

const HISTORIES = join(ROOT, 'test/replay/histories');
const files = readdirSync(HISTORIES).filter((name) => name.endsWith('.json'));
const QUIET = new DefaultLogger('ERROR', () => undefined);

beforeAll(() => {
  // What does not replay is meant to be found here, not to be read in the log.
  Runtime.install({ logger: QUIET, telemetryOptions: { logging: { filter: 'OFF' } } });
});

const bundle = (root: string, workflowInterceptorModules: string[] = []): Promise<WorkflowBundle> =>
  bundleWorkflowCode({ workflowsPath: join(root, 'workflows/index.ts'), workflowInterceptorModules, logger: QUIET });

interface RecordedEvent {
  activityTaskScheduledEventAttributes?: { taskQueue: { name: string } };
}

/** By file: what went wrong, or `null`. */
async function replay(workflowBundle: WorkflowBundle): Promise<Record<string, string | null>> {
  const histories = files.map((file) => ({
    workflowId: file,
    history: JSON.parse(readFileSync(join(HISTORIES, file), 'utf8')) as unknown,
  }));
  const found: Record<string, string | null> = {};
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories)) {
    found[workflowId] = error ? `${error.name}: ${error.message}` : null;
  }
  return found;
}

test('there is a history of every workflow and of every way it can go', () => {
  const ways = ['cancelled', 'done', 'elsewhere', 'failed', 'leased', 'recorded', 'retried'];
  const workflows = ['refine-dataset', 'refine-item', 'refine-partition'];
  const trainings = ['train-model', 'train-cell'].flatMap((workflow) =>
    ['cancelled', 'done', 'failed'].map((way) => `${workflow}-${way}.json`),
  );
  const ofRuns = workflows.flatMap((workflow) => ways.map((way) => `${workflow}-${way}.json`));
  expect(files.sort()).toEqual(expect.arrayContaining([...ofRuns, ...trainings]));
});

test('one of them went to the queue of a role, and back to the worker that had its picture half made', () => {
  const { events } = JSON.parse(readFileSync(join(HISTORIES, 'refine-item-leased.json'), 'utf8')) as { events: RecordedEvent[] };
  const queues = events.flatMap(({ activityTaskScheduledEventAttributes: scheduled }) => (scheduled ? [scheduled.taskQueue.name] : []));
  expect(queues).toEqual(expect.arrayContaining(['gpu', 'gpu-generate-cpu', 'gpu-drawer']));
});

test('all of them replay', async () => {
  expect(await replay(await bundle(ROOT))).toEqual(Object.fromEntries(files.map((file) => [file, null])));
});

test('all of them replay where workflows are traced, although they were not when they were recorded', async () => {
  const tracing = createRequire(import.meta.url).resolve('@temporalio/interceptors-opentelemetry/lib/workflow-interceptors');
  expect(await replay(await bundle(ROOT, [tracing]))).toEqual(Object.fromEntries(files.map((file) => [file, null])));
});

test.each([
  [
    'refine-item',
    'workflows/refine-item.ts',
    'cheaply(orchestration, (a) => a.recallItem({ item }))',
    'orchestration.recallItem({ item })',
  ],
  ['refine-partition', 'workflows/refine-partition.ts', 'orchestration.readIndexPage({', '(orchestration as any).readOther({'],
  [
    'train-model',
    'workflows/train-model.ts',
    'orchestration.setTrainingState({ training: ref, state: ',
    '(orchestration as any).setOther({ training: ref, state: ',
  ],
  ['train-cell', 'workflows/train-cell.ts', '.fineTune({', '.measureModel({'],
  ['refine-dataset', 'workflows/refine-dataset.ts', 'indexing.indexDataset({', '(indexing as any).indexOther({'],
])('a change of %s that open runs would stumble over is found, and named in all its histories alone', async (workflow, file, from, to) => {
  const found = await replay(await bundle(changed(file, from, to)));
  for (const [name, error] of Object.entries(found)) {
    if (name.startsWith(workflow)) expect(error).toMatch(/^DeterminismViolationError/);
    else expect(error).toBeNull();
  }
});
