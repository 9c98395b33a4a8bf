import { setTimeout as sleep } from 'node:timers/promises';
import type { Selection } from '../../activities/types.js';
import { openStore } from '../../engine/storage/index.js';
import { connect, findServer, type OpenClient } from '../client/connect.js';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { runWorkflowId } from '../../core/ids.js';
import type { PreparedRun } from '../client/prepare-run.js';
import { ServiceUnreachable } from '../client/service-unreachable.js';
import { checkRunId, startRun, waitForRun, type StartOptions } from '../client/start-run.js';
import { queuesWithoutWorker, workerAdvice } from '../client/queues.js';
import { getStatus, isOver, StatusReader, type RunStatus } from '../client/status.js';
import type { RunName } from '../client/control.js';
import { ServerIsAnothers, startEmbedded, type Embedded, type EmbeddedOptions } from '../embedded/start-embedded.js';
import type { CommonOptions } from './context.js';
import { Interrupted } from './exit-codes.js';
import { onInterrupt } from './interrupt.js';
import { note } from './output.js';
import { progressDisplay } from './progress.js';
import { saveReport, type SavedReport } from './save-report.js';

export interface ExecuteOptions extends CommonOptions {
  concurrency?: number;
  priority?: number;
  detach?: boolean;
  port?: number;
  uiPort?: number;
  webPort?: number;
  devices?: number;
  workerWait?: number;
  selection?: Selection;
  /** What an embedded worker for trainings uses; without it, there is none. */
  training?: EmbeddedOptions['training'];
  /** The embedded server and workers are started again where they are killed. */
  supervised?: boolean;
  /** Begun when the run has begun on an embedded server. `say`: a line to whoever watches. */
  during?(embedded: Embedded, name: RunName, say: (line: string) => void): void;
}

/** A run that was seen to its end (or, detached, only begun), and where to look at it. */
export interface Executed {
  status: RunStatus;
  report: SavedReport | null;
  store: string;
  ui: string | null;
  /** What was started for it and is still up; the caller stops it. */
  embedded: Embedded | null;
}

/**
 * Starts a run or finds it again, shows how it goes, and writes its report. Without a server it starts the embedded one.
 * @throws Interrupted on Ctrl-C, when everything that was started here has been stopped
 */
export async function executeRun(prepared: PreparedRun, options: ExecuteOptions): Promise<Executed> {
  const { storeUri } = prepared;
  const name: RunName = { storeUri, runId: prepared.manifest.runId };
  await checkRunId(prepared);
  const files = (await openStore(storeUri)).run(name.runId);
  const kept = await files.readState();
  if (kept && ['completed', 'completed_with_failures', 'budget_reached'].includes(kept.state)) {
    note(
      `run ${name.runId} has ended already (${kept.state}); nothing runs again. Another id is given with --run, failed items are taken up with \`refineloop retry\`.`,
    );
    const status = await getStatus(null, name);
    return { status, report: await saveReport(storeUri, name.runId), store: storeUri, ui: null, embedded: null };
  }
  return withServer(storeUri, options, async (open, embedded) => {
    await startRun(open.client, prepared, startOptions(options, open));
    if (options.detach)
      return { status: await getStatus(open.client, name), report: null, store: storeUri, ui: runUi(open, name.runId), embedded };
    return follow(open, name, embedded, options.during);
  });
}

/** What a person said of how a run is to be carried out. */
export function startOptions({ concurrency, priority, workerWait: waitSeconds }: ExecuteOptions, open: OpenClient): StartOptions {
  return { concurrency, priority, links: open.settings.web, ...(waitSeconds === undefined ? {} : { placement: { waitSeconds } }) };
}

/** Shows an open run until it ends, and writes its report. */
export async function follow(
  open: OpenClient,
  name: RunName,
  embedded: Embedded | null,
  during?: ExecuteOptions['during'],
): Promise<Executed> {
  const ui = runUi(open, name.runId);
  const reader = await StatusReader.open(open.client, name);
  const display = progressDisplay(reader, { ui });
  const interrupt = onInterrupt();
  const ended = waitForRun(open.client, name.runId).then(() => 'ended' as const);
  const waits: Array<Promise<'ended' | 'interrupted'>> = [ended, interrupt.signalled.then(() => 'interrupted' as const)];
  if (embedded) {
    waits.push(embedded.broken);
    during?.(embedded, name, display.say);
  }
  let outcome: 'ended' | 'interrupted' | undefined;
  try {
    const over = Promise.race(waits);
    over.catch(() => undefined); // Thrown again below.
    let overSince: number | null = null;
    const look = async () => {
      try {
        const status = await reader.read();
        overSince = isOver(status.state) ? (overSince ?? Date.now()) : null;
        const hasBegun = status.state !== 'starting' && status.steps.executed + status.steps.cached > 0;
        const idle = !hasBegun && !embedded ? await queuesWithoutWorker(open.client) : [];
        display.update(status, workerAdvice(idle));
      } catch (error) {
        // The run waits for its store to come back, and so does who watches it.
        if (!(error instanceof StorageUnavailable)) throw error;
        display.trouble(error.message);
      }
      await sleep(display.everyMs, undefined, { ref: false });
    };
    while (outcome === undefined && !(overSince !== null && Date.now() - overSince > OVER_FOR_MS)) {
      outcome = (await Promise.race([over, look()])) ?? undefined;
    }
    if (outcome === 'interrupted') throw new Interrupted(howToGoOn(name, embedded !== null));
    const status = await reader.read();
    display.update(status);
    display.end();
    return { status, report: await saveReport(name.storeUri, name.runId), store: name.storeUri, ui, embedded };
  } finally {
    if (outcome !== 'ended') display.end();
    interrupt.dispose();
  }
}

const ANOTHERS_START_MS = 1_000;
/** A run whose store says that it is over, while its workflow cannot be asked or cannot close, is left after so long. */
const OVER_FOR_MS = 15_000;

/** Hands over a client: of the server that is named or of the store's own, else of one that is started now. */
export async function withServer<T>(
  storeUri: string,
  options: ExecuteOptions,
  use: (open: OpenClient, embedded: Embedded | null) => Promise<T>,
): Promise<T> {
  const open = await openServer(storeUri, options);
  if (open) {
    try {
      return await use(open, null);
    } finally {
      await open.close();
    }
  }
  if (options.detach) {
    throw new InvalidInput(
      '--detach needs a server that goes on after this command: start `refineloop dev` in another terminal, or name one with --address',
    );
  }
  note('starting the embedded Temporal server and workers …');
  const embedded = await startEmbedded({ ...options, storeUri }).catch((error: unknown) => {
    if (error instanceof ServerIsAnothers) return null;
    throw error;
  });
  if (!embedded) {
    note('another command has just started it; waiting for that one …');
    await sleep(ANOTHERS_START_MS);
    return withServer(storeUri, options, use);
  }
  try {
    return await use(embedded.open, embedded);
  } catch (error) {
    await embedded.stop();
    throw error;
  }
}

async function openServer(storeUri: string, options: ExecuteOptions): Promise<OpenClient | null> {
  const settings = await findServer({ ...options, storeUri });
  if (!settings) return null;
  try {
    return await connect(settings);
  } catch (error) {
    // An embedded server that was killed leaves its address behind; one that a person named must be there.
    if (settings.source === 'embedded' && error instanceof ServiceUnreachable) return null;
    throw error;
  }
}

const runUi = (open: OpenClient, runId: string): string | null => workflowUi(open, runWorkflowId(runId));

/** Where the Temporal UI shows a workflow; `null` where none is known. */
export function workflowUi({ settings: { ui, namespace } }: OpenClient, workflowId: string): string | null {
  return ui === null ? null : `${ui}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}`;
}

function howToGoOn({ runId, storeUri }: RunName, embedded: boolean): string {
  return embedded
    ? `interrupted: run ${runId} is suspended, with everything that is finished in ${storeUri}. The same command goes on with it.`
    : `interrupted here: run ${runId} goes on. Look at it with \`refineloop status ${runId}\`, end it with \`refineloop cancel ${runId}\`.`;
}
