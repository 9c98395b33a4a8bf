/** `demo --chaos`: what is killed on the way, and with what the results are compared. */
import { setTimeout as sleep } from 'node:timers/promises';
import { itemPlan, worstCaseImages } from '../../core/item-plan.js';
import type { RunManifest } from '../../core/recipe.js';
import { uniform } from '../../core/seeds.js';
import type { Digest } from '../../core/types.js';
import { openStore, StepTally } from '../../engine/storage/index.js';
import type { RunName } from '../client/control.js';
import { isOver } from '../client/status.js';
import { faultSchedule } from '../embedded/fault-schedule.js';
import type { Crashes, Embedded } from '../embedded/start-embedded.js';
import { buildResults, resultsDigest } from '../report/index.js';
import { reportInput } from './save-report.js';

type Part = keyof Crashes;

/** What was killed, and when in the course of the run. */
export interface Crash {
  part: Part;
  /** In words. */
  what: string;
  /** Pictures that were made by then. */
  images: number;
}

const HEALS: Record<Part, string> = {
  worker: 'it is started again, and its steps are tried again',
  host: 'its worker starts another, and tries the picture again',
  server: 'it is started again on its database file, and every workflow goes on',
};
const KINDS = Object.fromEntries(Object.keys(HEALS).map((part) => [part, { targets: [part], seconds: [0, 0] as const }])) as Record<
  Part,
  { targets: string[]; seconds: readonly [number, number] }
>;
const LOOK_EVERY_MS = 300;
/** Kills of one demo. */
export const CRASHES = Object.keys(HEALS).length;

/** Kills each part once in the course of a run, in an order and at moments that the seed gives, and says so. Ends with the run. */
export async function disturb(
  { crashes }: Embedded,
  { storeUri, runId }: RunName,
  seed: number,
  say: (line: string) => void,
): Promise<Crash[]> {
  const store = await openStore(storeUri);
  const files = store.run(runId);
  const plan = itemPlan((await files.readManifest())!.recipe);
  const ledger = store.followLedger(runId);
  const tally = new StepTally();
  const chance = uniform(seed);
  const done: Crash[] = [];
  // Drawn beforehand: how often it must be tried is no part of the course that the seed gives.
  const planned = faultSchedule(seed, CRASHES, KINDS, [0.1, 0.7]).map((fault) => ({ ...fault, which: chance() }));
  say(`chaos: a worker, an inference host and the server will be killed on the way (seed ${seed})`);
  for (;;) {
    const next = planned[done.length];
    const over = isOver((await files.readState())?.state ?? 'starting');
    if (!next || over) break;
    tally.add(await ledger.readOn());
    const images = [...tally.images.values()].reduce((sum, n) => sum + n, 0);
    const all = ((await files.readIndexSummary())?.items ?? 0) * worstCaseImages(plan);
    const what = all > 0 && images >= next.at * all ? crashes![next.kind](next.which) : null;
    if (what !== null) {
      done.push({ part: next.kind, what, images });
      say(`chaos: ${images} of ${all} pictures are made; killed ${what}: ${HEALS[next.kind]}`);
    }
    await sleep(LOOK_EVERY_MS, undefined, { ref: false });
  }
  for (const { kind } of planned.slice(done.length)) say(`chaos: the run ended before its ${kind} could be killed`);
  return done;
}

/** The results of the newest finished demo in a store by this very recipe, models and program; `null` where there is none. */
export async function undisturbedDemo(
  storeUri: string,
  { recipeDigest, software }: RunManifest,
): Promise<{ runId: string; resultsDigest: Digest } | null> {
  const store = await openStore(storeUri);
  const ids = (await store.listRuns()).filter((id) => /^demo-\d+$/.test(id));
  const newest = ids.sort((a, b) => Number(b.slice('demo-'.length)) - Number(a.slice('demo-'.length)));
  for (const runId of newest) {
    const manifest = await store.run(runId).readManifest();
    const isSame = manifest?.recipeDigest === recipeDigest && manifest.software.version === software.version;
    if (!isSame || (await store.run(runId).readState())?.state !== 'completed') continue;
    return { runId, resultsDigest: resultsDigest(await buildResults(await reportInput(store, runId))) };
  }
  return null;
}
