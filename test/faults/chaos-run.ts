/** A run on real workers, a real Temporal server on a SQLite file and a real MinIO, in which things break by a schedule. */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { Digest } from '../../core/types.js';
import { openStore, StepTally, type LedgerLine, type Store } from '../../engine/storage/index.js';
import { cliJson, scratch } from '../support/cli.js';
import { startMinio } from '../support/minio.js';
import { isAlive, kill, until } from '../support/processes.js';
import type { RunDocument } from '../support/runs.js';
import { CONTROL, WRITTEN, writeRecipe } from '../support/small-recipe.js';
import { SupervisedWorker } from '../support/supervised-worker.js';
import { startTemporal } from '../support/temporal-server.js';
import { startProxies, type Proxy } from '../support/toxiproxy.js';
import type { Struck } from './explain.js';
import { chaosSchedule, inWords, WORKERS, type Fault, type FaultName, type WorkerName } from './schedule.js';

export interface ChaosOptions {
  items: number;
  faults: number;
  seed: number;
  /** A line about what happens. */
  say(line: string): void;
}

/** One of the two runs, when it is over. */
export interface Seen {
  /** Of the command line: `--store` and what else finds it. */
  on: string[];
  store: Store;
  lines: LedgerLine[];
  seconds: number;
}

export interface Chaos {
  recipe: string;
  undisturbed: Seen;
  disturbed: Seen;
  struck: Struck[];
  /** Pictures in which a byte was flipped. */
  spoilt: Digest[];
  /** What workers wrote there. */
  stdout: string;
  close(): Promise<void>;
}

export const RUN = 'chaos';
/** A wait in vain is ended by the test's own limit. */
const LONG_MS = 3_600_000;
/** A look lists the ledger, on the cores that the run needs. */
const LOOK_EVERY_MS = 200;

/** Runs the same recipe twice: undisturbed in a folder, and in a bucket while everything around it breaks. */
export async function runInChaos({ items, faults, seed, say }: ChaosOptions): Promise<Chaos> {
  const folder = scratch();
  const recipe = writeRecipe(folder, { limit: items, steps: 4, arms: [CONTROL, WRITTEN] });
  const undisturbed = await runUndisturbed(recipe, join(folder, 'store'));
  const total = undisturbed.lines.filter(({ row }) => row === 'start').length;
  say(`undisturbed: ${total} steps in ${undisturbed.seconds.toFixed(0)} s`);

  const place = await Place.start(folder);
  try {
    const schedule = chaosSchedule(seed, faults);
    say(`${faults} faults of seed ${seed}:`);
    schedule.forEach((fault, n) => say(`  ${n + 1}. ${inWords(fault)}`));
    const began = Date.now();
    await cliJson<RunDocument>(['run', recipe, '--run', RUN, ...place.on, '--detach']);
    const files = place.store.run(RUN);
    const ledger = place.store.followLedger(RUN);
    const lines: LedgerLine[] = [];
    const tally = new StepTally();
    /** How far it is; where the store cannot be asked just now, as far as it was. */
    const look = async () => {
      await sleep(LOOK_EVERY_MS);
      const found = await ledger.readOn().catch(() => []);
      tally.add(found);
      lines.push(...found);
      return tally.counts.executed;
    };
    const isOver = async () => Boolean((await files.readState().catch(() => undefined))?.finishedAt);

    const struck: Struck[] = [];
    const healing = new Map<string, Promise<void>>();
    for (const fault of schedule) {
      await until(inWords(fault), async () => (await look()) >= fault.at * total || (await isOver()), LONG_MS);
      // One thing breaks once at a time.
      await healing.get(fault.target);
      if (await isOver()) throw new Error(`the run was over before ${inWords(fault)}`);
      const one: Struck = { ...fault, begin: Date.now(), end: Infinity, steps: tally.counts.executed };
      struck.push(one);
      say(`${seconds(one.begin - began)} ${one.steps}/${total} steps: ${inWords(fault)}`);
      healing.set(
        fault.target,
        place.strike(fault).finally(() => (one.end = Date.now())),
      );
    }
    await Promise.all(healing.values());
    await until('the run is over', isOver, LONG_MS);
    // Of workers that were thawed or cut off, the last word.
    await sleep(2_000);
    await look();
    const disturbed: Seen = { on: place.on, store: place.store, lines, seconds: (Date.now() - began) / 1000 };
    say(`disturbed: over after ${disturbed.seconds.toFixed(0)} s`);
    return { recipe, undisturbed, disturbed, struck, spoilt: place.spoilt, stdout: place.stdout, close: () => place.close() };
  } catch (error) {
    await place.close();
    throw error;
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1).padStart(6)} s`;

async function runUndisturbed(recipe: string, uri: string): Promise<Seen> {
  const began = Date.now();
  const on = ['--store', uri];
  await cliJson<RunDocument>(['run', recipe, '--run', RUN, ...on]);
  const store = await openStore(uri);
  return { on, store, lines: await store.followLedger(RUN).readOn(), seconds: (Date.now() - began) / 1000 };
}

/** Everything that a run stands on, and how each part is broken. Workers see server and store through a network that can be. */
class Place {
  readonly spoilt: Digest[] = [];

  private constructor(
    readonly store: Store,
    /** For commands, which go straight there. */
    readonly on: string[],
    private readonly server: Awaited<ReturnType<typeof startTemporal>>,
    private readonly minio: Awaited<ReturnType<typeof startMinio>>,
    private readonly ways: { server: Proxy; store: Proxy },
    private readonly workers: Record<WorkerName, SupervisedWorker>,
    readonly close: () => Promise<void>,
  ) {}

  static async start(folder: string): Promise<Place> {
    const closing: Array<() => Promise<void>> = [];
    const close = async () => {
      for (const step of closing.splice(0).reverse()) await step();
    };
    try {
      const minio = await startMinio();
      closing.push(minio.close);
      const server = await startTemporal(folder);
      closing.push(() => server.kill('SIGKILL'));
      const proxies = await startProxies();
      closing.push(proxies.close);
      const ways = {
        server: await proxies.proxy('server', server.address),
        store: await proxies.proxy('store', new URL(minio.endpoint).host),
      };
      const direct = minio.uri('runs');
      const seen = direct.replace(minio.endpoint, `http://${ways.store.address}`);
      const workers = Object.fromEntries(
        Object.entries(WORKERS).map(([name, [role, ...args]]) => [
          name,
          new SupervisedWorker(role, ways.server.address, '--store', seen, ...args),
        ]),
      ) as Record<WorkerName, SupervisedWorker>;
      closing.push(async () => void (await Promise.all(Object.values(workers).map((worker) => worker.stop()))));
      await Promise.all(Object.values(workers).map((worker) => worker.ready()));
      return new Place(await openStore(direct), ['--store', direct, '--address', server.address], server, minio, ways, workers, close);
    } catch (error) {
      await close();
      throw error;
    }
  }

  get stdout(): string {
    return Object.values(this.workers)
      .map(({ stdout }) => stdout)
      .join('');
  }

  /** Resolves when what was broken is whole again. */
  strike({ kind, target, seconds }: Fault): Promise<void> {
    const worker = this.workers[target as WorkerName];
    const lasting = () => sleep(seconds * 1000);
    const poisoned = async (way: Proxy, toxic: Parameters<Proxy['poison']>[0]) => {
      await way.poison(toxic);
      await lasting();
      await way.heal();
    };
    const slow = { type: 'latency', attributes: { latency: 500, jitter: 200 } } as const;
    const reset = { type: 'reset_peer', attributes: { timeout: 100 } } as const;
    const frozen = async (pid: number) => {
      kill(pid, 'SIGSTOP');
      await lasting();
      kill(pid, 'SIGCONT');
    };
    const restarted = async (server: { start(): Promise<void> }, end: () => Promise<void>) => {
      await end();
      await lasting();
      await server.start();
    };
    const strikes: Record<FaultName, () => Promise<void>> = {
      'kill-host': async () => kill(await worker.host(), 'SIGKILL'),
      'abort-host': async () => kill(await worker.host(), 'SIGABRT'),
      'hang-host': async () => frozen(await worker.host()),
      'stuck-host': async () => {
        const pid = await worker.host();
        kill(pid, 'SIGSTOP');
        await until('the watchdog has ended a host that is stuck', () => !isAlive(pid), LONG_MS);
      },
      'kill-gpu': () => worker.end('SIGKILL', seconds),
      'kill-cpu': () => worker.end('SIGKILL', seconds),
      'kill-orchestrator': () => worker.end('SIGKILL', seconds),
      'stop-worker': () => worker.end('SIGTERM', seconds),
      'freeze-worker': () => frozen(worker.pid),
      'kill-server': () => restarted(this.server, () => this.server.kill('SIGKILL')),
      'restart-server': () => restarted(this.server, () => this.server.kill('SIGTERM')),
      'kill-store': () => restarted(this.minio, () => this.minio.kill()),
      'slow-store': () => poisoned(this.ways.store, slow),
      'reset-store': () => poisoned(this.ways.store, reset),
      'slow-server': () => poisoned(this.ways.server, slow),
      'reset-server': () => poisoned(this.ways.server, reset),
      'spoil-picture': () => this.spoil(),
    };
    return strikes[kind]();
  }

  /** Flips a byte in a picture that no later step of the run reads. */
  private async spoil(): Promise<void> {
    const image = await until(
      'an item is over whose pictures are whole',
      async () => {
        const records = await this.store
          .run(RUN)
          .listItems()
          .catch(() => []);
        return records
          .flatMap(({ arms }) => arms.map(({ rounds }) => rounds.at(-1)!.image))
          .find(({ digest }) => !this.spoilt.includes(digest));
      },
      LONG_MS,
    );
    const hex = image.digest.slice('sha256:'.length);
    const key = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
    const { objects } = this.store;
    const bytes = Buffer.from((await objects.get(key))!);
    bytes[bytes.length >> 1]! ^= 1;
    await objects.put(key, bytes);
    this.spoilt.push(image.digest);
  }
}
