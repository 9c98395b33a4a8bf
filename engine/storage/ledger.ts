import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import { encodeJsonLines, parseLines } from './json-objects.js';
import {
  mergeLedger,
  type LedgerEnd,
  type LedgerLine,
  type LedgerRow,
  type LedgerStart,
  type LedgerStep,
  type ReadLedgerOptions,
} from './ledger-rows.js';
import type { ObjectStore } from './object-store.js';
import { checkRunId } from './run-files.js';

export * from './ledger-rows.js';

/** Parts that are read side by side. */
const READERS = 32;

interface Waiting {
  line: LedgerLine;
  durable: boolean;
  done: () => void;
  failed: (error: unknown) => void;
}

/**
 * Writes one worker process's part of a run's ledger, `runs/<run>/ledger/<worker>.jsonl`: one file, or in S3 parts below that name.
 * Lines that come while a write is on its way go together in the next one, so that they share one sync to the disk.
 */
export class LedgerWriter {
  private readonly key: string;
  private waiting: Waiting[] = [];
  private writing = false;
  /** Whether the file may end in the middle of a line (an earlier process, a write that failed). */
  private torn: boolean | undefined;
  private readonly billable = new Set<string>();

  constructor(
    private readonly objects: ObjectStore,
    runId: string,
    worker: string,
  ) {
    checkRunId(runId);
    this.key = `runs/${runId}/ledger/${worker.replace(/[^A-Za-z0-9_-]+/g, '-')}.jsonl`;
  }

  /** Call before the model or the provider: the line is on the disk when this resolves. Returns the attempt's id. */
  async start(entry: LedgerStart): Promise<string> {
    const id = randomUUID();
    if (entry.billable) this.billable.add(id);
    await this.write({ row: 'start', id, at: now(), ...entry }, true);
    return id;
  }

  /** What became of an attempt. */
  async end(entry: LedgerEnd): Promise<void> {
    await this.write({ row: 'end', at: now(), ...entry }, this.billable.delete(entry.id));
  }

  /** A result that was found, so that nothing ran. */
  async recorded(entry: LedgerStep): Promise<void> {
    await this.write({ row: 'recorded', id: randomUUID(), at: now(), ...entry }, false);
  }

  private write(line: LedgerLine, durable: boolean): Promise<void> {
    return new Promise((done, failed) => {
      this.waiting.push({ line, durable, done, failed });
      if (!this.writing) void this.flush();
    });
  }

  private async flush(): Promise<void> {
    this.writing = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      try {
        this.torn ??= ((await this.objects.size(this.key)) ?? 0) > 0;
        const lines = encodeJsonLines(batch.map((entry) => entry.line));
        const bytes = this.torn ? Buffer.concat([Buffer.from('\n'), lines]) : lines;
        await this.objects.append(this.key, bytes, { durable: batch.some((entry) => entry.durable) });
        this.torn = false;
        for (const entry of batch) entry.done();
      } catch (error) {
        this.torn = true;
        for (const entry of batch) entry.failed(error);
      }
    }
    this.writing = false;
  }
}

/** Every attempt of a run, of all workers. A line that a crash cut off is left out. */
export async function readLedger(objects: ObjectStore, runId: string, options: ReadLedgerOptions = {}): Promise<LedgerRow[]> {
  return mergeLedger(await new LedgerFollower(objects, runId).readOn(), options);
}

/** Reads a run's ledger as it grows: each line once. */
export class LedgerFollower {
  private readonly prefix: string;
  /** How far each log was read: its last part, and of that the bytes up to the end of the last whole line. */
  private read = new Map<string, { part: string; bytes: number }>();
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly objects: ObjectStore,
    runId: string,
  ) {
    checkRunId(runId);
    this.prefix = `runs/${runId}/ledger/`;
  }

  /** The lines that were not there at the last call. One that a crash cut off is left out. Fails as a whole: then nothing counts as read. */
  readOn(): Promise<LedgerLine[]> {
    const lines = this.turn.then(() => this.readNew());
    this.turn = lines.catch(() => undefined);
    return lines;
  }

  private async readNew(): Promise<LedgerLine[]> {
    const read = new Map(this.read);
    const limit = pLimit(READERS);
    const found: Array<Promise<LedgerLine[]>> = [];
    for (const [log, listed] of await this.listLogs()) {
      const last = this.read.get(log);
      // The last one that was there may have grown since; those before it may not (ObjectStore.append).
      const parts = last === undefined || listed[0] === last.part ? listed : [last.part, ...listed];
      for (const part of parts) {
        const from = part === last?.part ? last.bytes : 0;
        const one = limit(() => this.linesOf(part, from));
        found.push(one.then(({ lines, bytes }) => (part === parts.at(-1) && read.set(log, { part, bytes: from + bytes }), lines)));
      }
    }
    const lines = (await Promise.all(found)).flat();
    this.read = read;
    return lines;
  }

  /** Of each log the parts that are new since the last look, in order; one that is no folder is its own part. */
  private async listLogs(): Promise<Map<string, string[]>> {
    const logs = new Map<string, string[]>();
    for (const log of await this.objects.listFolders(this.prefix)) {
      const parts: string[] = [];
      for await (const part of this.objects.list(`${this.prefix}${log}/`, { after: this.read.get(log)?.part })) parts.push(part);
      logs.set(log, parts);
    }
    if (logs.size > 0) return logs;
    for await (const log of this.objects.list(this.prefix)) if (log.endsWith('.jsonl')) logs.set(log, [log]);
    return logs;
  }

  /** Whole lines from a byte on, and how many bytes they are. */
  private async linesOf(key: string, from: number): Promise<{ lines: LedgerLine[]; bytes: number }> {
    const stream = await this.objects.stream(key, { from });
    if (!stream) return { lines: [], bytes: 0 };
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    const all = Buffer.concat(parts);
    const bytes = all.lastIndexOf('\n') + 1;
    return { lines: parseLines<LedgerLine>(all.subarray(0, bytes)).values, bytes };
  }
}

const now = (): string => new Date().toISOString();
