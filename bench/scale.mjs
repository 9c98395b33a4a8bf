/**
 * Does an item cost the same in a large run as in a small one? Null-model runs (null-runs.mjs) of two sizes, each on a server and a store of its
 * own; in the larger one the worker is killed with SIGKILL at a quarter and at three quarters, and the server restarted at half.
 *
 *   node scripts/build.mjs && node bench/scale.mjs [--small 1000] [--large 20000] [--window 100] [--slice 1000]
 *
 * A line every `slice` items: items/s, CPU an item, memory (RSS), database. At the end every history is read: events and bytes an item, the longest
 * history, the largest payload. Items are counted by their records in the store.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import pLimit from 'p-limit';
import { getStatus } from '../dist/app/client/status.js';
import { startRun } from '../dist/app/client/start-run.js';
import { startTemporalServer } from '../dist/app/embedded/temporal-server.js';
import { itemWorkflowId, partitionWorkflowId, runWorkflowId } from '../dist/core/ids.js';
import { cpuSeconds, describeMachine, descendants, fixed, load, median, numberOptions } from './measure.mjs';
import { historyOf, prepareNullRun, recordsOf, startNullWorker, storeOf, writeDataset } from './null-runs.mjs';

const asked = numberOptions({ small: 1_000, large: 20_000, window: 100, slice: 1_000 });
/** Temporal warns of longer histories. */
const WARN_EVENTS = 10_240;
const WARN_BYTES = 10 * 2 ** 20;
const MOST_PAYLOAD = 64 * 2 ** 10;

async function scaleRun(items, disturbed) {
  const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
  const runId = `scale-${items}`;
  console.log(`\n${items} items, window ${asked.window}`);
  try {
    const prepared = await prepareNullRun(folder, runId, await writeDataset(folder, items));
    return await new ScaleRun(folder, runId, prepared, items).measure(disturbed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

class ScaleRun {
  /** CPU seconds of processes that are gone. */
  spent = { worker: 0, server: 0 };
  /** MiB, each second, with how many items were over. */
  memory = [];

  constructor(folder, runId, prepared, items) {
    Object.assign(this, { folder, runId, prepared, items, database: join(folder, 'temporal.sqlite') });
  }

  async measure(disturbed) {
    await this.startServer();
    await this.startWorker();
    try {
      const began = performance.now();
      const first = this.cpu();
      await startRun(this.client, this.prepared, { concurrency: asked.window });
      const faults = disturbed ? this.faults() : [];
      for (let mark = asked.slice; ; mark = Math.min(this.items, mark + asked.slice)) {
        await this.slice(mark, faults);
        if (mark >= this.items) break;
      }
      await this.ended();
      const seconds = (performance.now() - began) / 1000;
      const cpu = this.cpu();
      const database = await this.databaseBytes();
      const status = await getStatus(this.client, { storeUri: this.prepared.storeUri, runId: this.runId });
      console.log(
        `  ${status.state}: ${JSON.stringify(status.items)}, steps ${JSON.stringify(status.steps)}; ${fixed(this.items / seconds, 1)} items/s`,
      );
      await recordsOf(this.prepared);
      const histories = await this.histories();
      return {
        'worker CPU, ms an item': ((cpu.worker - first.worker) / this.items) * 1000,
        'server CPU, ms an item': ((cpu.server - first.server) / this.items) * 1000,
        'worker memory, MiB, median of the last half': this.usualMemory('worker'),
        'server memory, MiB, median of the last half': this.usualMemory('server'),
        'database, KB an item': database / this.items / 1000,
        ...histories,
      };
    } finally {
      await this.worker.stop();
      await this.stopServer();
    }
  }

  /** What is done to the run once so many items are over. */
  faults() {
    const killWorker = async () => {
      this.spent.worker += cpuSeconds(this.worker.pid);
      await this.worker.kill();
      await this.startWorker();
    };
    const restartServer = async () => {
      await this.stopServer();
      await this.startServer();
    };
    return [
      { at: this.items / 4, name: 'worker killed', strike: killWorker },
      { at: this.items / 2, name: 'server restarted', strike: restartServer },
      { at: (this.items * 3) / 4, name: 'worker killed', strike: killWorker },
    ];
  }

  async slice(mark, faults) {
    const before = { at: performance.now(), done: await this.done(), cpu: this.cpu() };
    let done = before.done;
    const struck = [];
    while (done < mark) {
      await sleep(1000);
      done = await this.done();
      this.look(done);
      if (faults.length > 0 && done >= faults[0].at) {
        const fault = faults.shift();
        await fault.strike();
        struck.push(`${fault.name} at ${done}`);
      }
    }
    const cpu = this.cpu();
    const items = done - before.done;
    const perItem = (of) => fixed(((cpu[of] - before.cpu[of]) / items) * 1000, 1);
    const size = await this.databaseBytes();
    console.log(
      `  ${String(done).padStart(6)}: ${fixed((items / (performance.now() - before.at)) * 1000, 1)} items/s; CPU an item ${perItem('worker')} ms worker, ` +
        `${perItem('server')} ms server; memory ${fixed(rss(this.worker.pid), 0)} MiB worker, ${fixed(rss(this.serverPid), 0)} MiB server; ` +
        `database ${fixed(size / done / 1000, 1)} KB an item; load ${load()}${struck.map((what) => `; ${what}`).join('')}`,
    );
  }

  /** Item records in the store. */
  async done() {
    const names = await readdir(join(storeOf(this.folder, this.runId), 'runs', this.runId, 'items')).catch(() => []);
    return names.filter((name) => name.endsWith('.json')).length;
  }

  async databaseBytes() {
    const sizes = await Promise.all(
      ['', '-wal'].map((end) =>
        stat(this.database + end).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
    );
    return sizes[0] + sizes[1];
  }

  look(done) {
    this.memory.push({ done, worker: rss(this.worker.pid), server: rss(this.serverPid) });
  }

  usualMemory(of) {
    return median(this.memory.filter(({ done }) => done >= this.items / 2).map((sample) => sample[of]));
  }

  cpu() {
    return { worker: this.spent.worker + cpuSeconds(this.worker.pid), server: this.spent.server + cpuSeconds(this.serverPid) };
  }

  async ended() {
    const root = this.client.workflow.getHandle(runWorkflowId(this.runId));
    while ((await root.describe()).status.name === 'RUNNING') await sleep(500);
  }

  /** Reads every history of the run. @throws where one is longer than Temporal likes, or a payload larger than we allow */
  async histories() {
    const partitions = [...Array(Math.ceil(this.items / 5_000)).keys()].map((n) => partitionWorkflowId(this.runId, n));
    const orchestration = await this.chains([runWorkflowId(this.runId), ...partitions]);
    const records = await recordsOf(this.prepared);
    const limit = pLimit(8);
    const items = await Promise.all(records.map(({ key }) => limit(() => historyOf(this.client, itemWorkflowId(this.runId, key)))));
    const all = [...orchestration, ...items];
    const most = (of) => Math.max(...all.map((history) => history[of]));
    const mean = (of, histories) => histories.reduce((sum, history) => sum + history[of], 0) / this.items;
    console.log(
      `  ${all.length} histories: at most ${most('events')} events, ${most('bytes')} bytes, a payload of ${most('payload')} bytes; ` +
        `items' own: at most ${Math.max(...items.map(({ events }) => events))} events`,
    );
    if (most('events') >= WARN_EVENTS || most('bytes') >= WARN_BYTES)
      throw new Error('a history is above the limits that Temporal warns at');
    if (most('payload') > MOST_PAYLOAD) throw new Error('a payload is above 64 KiB');
    return {
      'events an item, its own': mean('events', items),
      'events an item, with its share of the partition': mean('events', all),
      'history, bytes an item': mean('bytes', all),
    };
  }

  /** Histories of workflows and of all executions before them that they continued. */
  async chains(ids) {
    const found = [];
    for (const workflowId of ids) {
      const executions = this.client.workflow.list({ query: `WorkflowId = "${workflowId}"` });
      for await (const { runId } of executions) found.push(await historyOf(this.client, workflowId, runId));
    }
    return found;
  }

  async startServer() {
    const port = this.server ? Number(this.server.address.split(':')[1]) : undefined;
    this.server = await startTemporalServer({ database: this.database, logFile: join(this.folder, 'temporal.log'), port });
    this.serverPid = descendants(process.pid, 'start-dev').find((pid) => !descendants(pid, 'start-dev').length);
    this.connection ??= await Connection.connect({ address: this.server.address });
    this.client ??= new Client({ connection: this.connection });
  }

  async stopServer() {
    this.spent.server += cpuSeconds(this.serverPid);
    await this.server.stop();
  }

  async startWorker() {
    this.worker = await startNullWorker(this.server.address, 'refine');
  }
}

/** Resident memory in MiB. */
function rss(pid) {
  const [kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')).slice(1);
  return Number(kib) / 1024;
}

console.log(describeMachine());
const small = await scaleRun(asked.small, false);
const large = await scaleRun(asked.large, true);
console.log(`\n${asked.large} against ${asked.small} items:`);
for (const name of Object.keys(small))
  console.log(`  ${name}: ${fixed(small[name])} -> ${fixed(large[name])}, ${fixed(large[name] / small[name])}`);
