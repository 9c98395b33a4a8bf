/**
 * The null item on refineloop, bare Temporal, Prefect and Dagster: what each costs, and what becomes of a run whose process is killed.
 *
 *   node scripts/build.mjs && node bench/orchestrators.mjs [--items 100] [--pairs 2] [--window 8]
 *
 * Each makes the same eight calls an item with the same writes to a file store (bare-workflows.mjs, orchestrators/null_steps.py), as many items at once, and
 * has a server of its own on SQLite, up and warmed by eight items before the clock starts; one framework runs at a time, in turn. CPU is that of all
 * its processes until they have come to rest, for a server may still be writing down what has ended. Then each runs once more, and gets SIGKILL where
 * the steps run when half of the steps are recorded (of steps, not items: Dagster takes all items a step further in turn). The ledger, a synced line before each execution, tells what ran again or was lost.
 */
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import getPort from 'get-port';
import { describeMachine, fixed, load, median, numberOptions, startedCpuSeconds } from './measure.mjs';
import { prepareNullRun, SIDES, startNullServer, startNullWorker, storeOf, writeDataset } from './null-runs.mjs';

const STEPS_AN_ITEM = 11;
const WARM_UP_ITEMS = 8;
const PYTHON_SIDES = fileURLToPath(new URL('./orchestrators', import.meta.url));
const asked = numberOptions({ items: 100, pairs: 2, window: 8 });

/**
 * Each: `open(folder)` starts the server and what runs the steps. `begin(runId, dataset)` starts a run and resolves with a wait for its end,
 * when its first step is about to run. `kill(runId)` ends the process that runs the steps; `goOn(runId, dataset)` does what has to be done by hand
 * for the run to go on, and gives the wait again. `databases`: folders that hold what the framework itself keeps.
 */
const FRAMEWORKS = {
  refineloop: { open: (folder) => openTemporal(folder, 'refine'), hand: 'none; the worker was started again, as a supervisor does' },
  'bare Temporal': { open: (folder) => openTemporal(folder, 'bare'), hand: 'none; the worker was started again, as a supervisor does' },
  Prefect: { open: openPrefect, hand: 'the flow was called again, as a new run; the killed one stays Running' },
  Dagster: { open: openDagster, hand: 'none; its daemon launched a new run from the failed steps (run_retries)' },
};

console.log(describeMachine());
const pythons = { prefect: pythonOf('prefect'), dagster: pythonOf('dagster') };
console.log(`Prefect ${versionOf('prefect')}, Dagster ${versionOf('dagster')}; ${asked.items} items, window ${asked.window}`);
const bench = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
try {
  const datasets = { warm: await writeDataset(bench, WARM_UP_ITEMS), items: await writeDataset(bench, asked.items) };
  const measured = Object.fromEntries(Object.keys(FRAMEWORKS).map((name) => [name, []]));
  for (let pair = 1; pair <= asked.pairs; pair++) {
    for (const name of Object.keys(FRAMEWORKS)) {
      const result = await session(name, `${pair}`, datasets, measureRun);
      measured[name].push(result);
      console.log(`pair ${pair}, ${name.padEnd(13)}: ${describe(result)}; load ${load()}`);
    }
  }
  for (const name of Object.keys(FRAMEWORKS)) {
    const of = (key, from = measured[name]) => median(from.map((run) => run[key]));
    const ratio = (key) => fixed(of(key) / of(key, measured.refineloop));
    console.log(`${name}, median of ${asked.pairs}, as a multiple of refineloop: items/s ${ratio('rate')}, CPU ${ratio('cpu')}`);
  }
  for (const name of Object.keys(FRAMEWORKS)) {
    const { again, lost, records, seconds } = await session(name, 'killed', datasets, killRun);
    console.log(
      `killed in mid-run, ${name.padEnd(13)}: ${again} of ${asked.items * STEPS_AN_ITEM} steps ran again, ${lost} lost, ` +
        `${records} of ${asked.items} items recorded, ended ${fixed(seconds, 1)} s after the kill; by hand: ${FRAMEWORKS[name].hand}`,
    );
  }
} finally {
  await rm(bench, { recursive: true, force: true });
}

/** A framework with everything fresh, warmed up, for one measurement. */
async function session(name, label, datasets, work) {
  const folder = join(bench, `${name.replace(' ', '-')}-${label}`);
  mkdirSync(folder);
  const framework = await FRAMEWORKS[name].open(folder, datasets);
  try {
    await (
      await framework.begin('warm', datasets.warm)
    )();
    await untilAtRest();
    return await work(framework, folder, datasets.items);
  } finally {
    await framework.stop();
    // What a daemon had started may still be writing.
    await rm(folder, { recursive: true, force: true, maxRetries: 20 });
  }
}

async function measureRun(framework, folder, dataset) {
  const database = bytesOfDatabases(framework.databases);
  const ended = await framework.begin('run', dataset);
  const before = { cpu: startedCpuSeconds(), at: performance.now() };
  await ended();
  const seconds = (performance.now() - before.at) / 1000;
  const rest = await untilAtRest();
  const cpu = startedCpuSeconds() - before.cpu;
  const { lost, again, records } = tally(folder);
  if (lost > 0 || again > 0 || records < asked.items) throw new Error(`not the same work: ${JSON.stringify({ lost, again, records })}`);
  const perItem = (bytes) => bytes / asked.items;
  return {
    rate: asked.items / seconds,
    cpu: cpu / asked.items,
    rest,
    database: perItem(bytesOfDatabases(framework.databases) - database),
    store: perItem(bytesOf(storeOf(folder, 'run'))),
  };
}

function describe({ rate, cpu, rest, database, store }) {
  const kilobytes = (bytes) => `${fixed(bytes / 1000, 1)} KB`;
  return (
    `${fixed(rate, 2)} items/s, CPU an item ${fixed(cpu * 1000, 0)} ms, at rest ${fixed(rest, 0)} s later, ` +
    `an item ${kilobytes(database)} of the framework's own and ${kilobytes(store)} of store`
  );
}

async function killRun(framework, folder, dataset) {
  const ended = await framework.begin('run', dataset);
  ended().catch(() => undefined); // The one that is killed may be the one to say so.
  while (stepsRecorded(folder) < (asked.items * STEPS_AN_ITEM) / 2) await sleep(20);
  await framework.kill('run');
  const killed = performance.now();
  await (
    await framework.goOn('run', dataset)
  )();
  return { seconds: (performance.now() - killed) / 1000, ...tally(folder) };
}

function runFiles(folder, runId, name) {
  return join(storeOf(folder, runId), 'runs', runId, name);
}

function namesIn(folder) {
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.')) : [];
}

function itemsRecorded(folder, runId = 'run') {
  return namesIn(runFiles(folder, runId, 'items')).length;
}

function stepsRecorded(folder) {
  return namesIn(join(storeOf(folder, 'run'), 'steps')).length;
}

/** Executions as the ledger has them, and what they left in the store. */
function tally(folder) {
  const ledger = runFiles(folder, 'run', 'ledger');
  const lines = namesIn(ledger).flatMap((name) => readFileSync(join(ledger, name), 'utf8').split('\n'));
  const starts = lines
    .filter((line) => line.includes('"row":"start"') || line.includes('"row": "start"'))
    .map((line) => JSON.parse(line).key);
  const lost = asked.items * STEPS_AN_ITEM - stepsRecorded(folder);
  return { again: starts.length - new Set(starts).size, lost, records: itemsRecorded(folder) };
}

/** Waits until what was started uses less than a tenth of a core, a minute at most; gives the seconds that it took. */
async function untilAtRest() {
  const from = performance.now();
  for (let busy = Infinity; busy > 0.2 && performance.now() - from < 60_000;) {
    const before = startedCpuSeconds();
    await sleep(2000);
    busy = startedCpuSeconds() - before;
  }
  return (performance.now() - from) / 1000 - 2;
}

function bytesOf(folder) {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? bytesOf(path) : entry.isFile() ? statSync(path).size : 0);
  }, 0);
}

/** With each write-ahead log moved into its database first: they are as long as they have ever been, whatever is in them. */
function bytesOfDatabases(folders) {
  const checkpoint = `import pathlib, sqlite3, sys
for folder in sys.argv[1:]:
    for log in pathlib.Path(folder).rglob("*-wal"):
        sqlite3.connect(str(log)[:-4], timeout=30).execute("PRAGMA wal_checkpoint(TRUNCATE)")`;
  execFileSync(pythons.dagster, ['-c', checkpoint, ...folders]);
  return folders.reduce((sum, folder) => sum + bytesOf(folder), 0);
}

async function openTemporal(folder, kind) {
  const database = join(folder, 'server');
  mkdirSync(database);
  const server = await startNullServer(database);
  let worker = await startNullWorker(server.address, kind);
  let ended;
  return {
    databases: [database],
    async begin(runId, dataset) {
      ended = await SIDES[kind].start(server.client, await prepareNullRun(folder, runId, dataset), asked.window);
      return ended;
    },
    kill: () => worker.kill(),
    async goOn() {
      worker = await startNullWorker(server.address, kind);
      return ended;
    },
    stop: () => worker.stop().then(server.stop),
  };
}

/** A flow a run in a process that stays; the server writes down what it is told after the flow has ended. */
async function openPrefect(folder) {
  const home = join(folder, 'prefect');
  const port = await getPort();
  const api = `http://127.0.0.1:${port}/api`;
  const env = {
    PREFECT_HOME: home,
    PREFECT_API_URL: api,
    PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
    PREFECT_LOGGING_LEVEL: 'WARNING',
    DO_NOT_TRACK: '1',
  };
  const command = join(dirname(pythons.prefect), 'prefect');
  const server = start(folder, 'server', command, ['server', 'start', '--host', '127.0.0.1', '--port', `${port}`, '--no-ui'], env);
  const isUp = () =>
    fetch(`${api}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isUp, server);
  let flow = await startFlow();
  async function startFlow() {
    const child = start(folder, 'flow', pythons.prefect, [join(PYTHON_SIDES, 'prefect_flow.py')], env);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const answer = async (expected) => {
      const { value } = await lines.next();
      if (value !== expected) throw new Error(`the flow said ${value}; see ${folder}/flow.log`);
    };
    await answer('ready');
    return { child, answer };
  }
  const begin = async (runId, dataset) => {
    const { child, answer } = flow;
    child.stdin.write(`${JSON.stringify({ root: storeOf(folder, runId), run: runId, dataset, window: asked.window })}\n`);
    return () => answer('done');
  };
  return {
    databases: [home],
    begin,
    kill: () => end(flow.child, 'SIGKILL'),
    async goOn(runId, dataset) {
      flow = await startFlow();
      return begin(runId, dataset);
    },
    stop: async () => {
      await end(flow.child, 'SIGTERM');
      await end(server, 'SIGTERM');
    },
  };
}

/** The daemon, with a code server that starts a process a run: where that is killed, the daemon re-executes what has not been finished. */
async function openDagster(folder, { warm, items }) {
  const home = join(folder, 'dagster');
  mkdirSync(home);
  await writeFile(
    join(home, 'dagster.yaml'),
    `telemetry: { enabled: false }
python_logs: { python_log_level: WARNING }
run_coordinator: { module: dagster, class: QueuedRunCoordinator, config: { dequeue_interval_seconds: 1 } }
run_retries: { enabled: true, max_retries: 3 }
`,
  );
  const env = { DAGSTER_HOME: home, PYTHONPATH: PYTHON_SIDES, DATASETS: JSON.stringify({ warm, run: items }) };
  const command = (name) => join(dirname(pythons.dagster), name);
  const code = ['-f', join(PYTHON_SIDES, 'dagster_job.py'), '-d', PYTHON_SIDES];
  const daemon = start(folder, 'daemon', command('dagster-daemon'), ['run', ...code], env);
  await until(() => readFileSync(daemon.log, 'utf8').includes('Instance is configured'), daemon); // Two at once would both make its tables.
  const done = (runId, dataset) => async () => {
    const items = readFileSync(join(dataset, 'metadata.jsonl'), 'utf8').trim().split('\n').length;
    await until(() => itemsRecorded(folder, runId) === items, daemon);
  };
  return {
    databases: [home],
    async begin(runId, dataset) {
      const config = join(folder, `${runId}.yaml`);
      const run = { root: storeOf(folder, runId), run: runId };
      await writeFile(config, JSON.stringify({ ops: { [`index_${runId}`]: { config: run } } }));
      const launch = start(folder, 'launch', command('dagster'), ['job', 'launch', ...code, '-j', runId, '-c', config], env);
      await until(() => existsSync(run.root), daemon); // Its process has started: what it writes first is the first true picture.
      if ((await ended(launch)) !== 0) throw new Error(`could not launch; see ${folder}/launch.log`);
      return done(runId, dataset);
    },
    /** Its ledger is named after the run's process. */
    kill: (runId) => process.kill(Number(namesIn(runFiles(folder, runId, 'ledger'))[0].split('.')[0]), 'SIGKILL'),
    goOn: (runId, dataset) => done(runId, dataset),
    stop: () => end(daemon, 'SIGTERM'),
  };
}

/** A process with its errors, and its output unless it is read, in `<name>.log`. */
function start(folder, name, command, args, env) {
  const path = join(folder, `${name}.log`);
  appendFileSync(path, '');
  const log = createWriteStream(path, { flags: 'a' });
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stderr.pipe(log);
  if (name !== 'flow') child.stdout.pipe(log);
  return Object.assign(child, { name, log: path });
}

function ended(child) {
  return child.exitCode ?? child.signalCode ?? new Promise((resolve) => child.once('exit', resolve));
}

async function end(child, signal) {
  child.kill(signal);
  await ended(child);
}

async function until(holds, child) {
  while (!(await holds())) {
    if (child.exitCode !== null)
      throw new Error(`${child.name} ended with code ${child.exitCode}:\n${readFileSync(child.log, 'utf8').slice(-2000)}`);
    await sleep(20);
  }
}

function pythonOf(name) {
  const script = fileURLToPath(new URL('../scripts/python-env.mjs', import.meta.url));
  return execFileSync(process.execPath, [script, join(PYTHON_SIDES, `requirements-${name}.txt`), name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
}

function versionOf(name) {
  return readFileSync(join(PYTHON_SIDES, `requirements-${name}.txt`), 'utf8').match(new RegExp(`^${name}==(.+)$`, 'm'))[1];
}
