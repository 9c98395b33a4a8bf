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
 * Writes one worker process's part of a run's ledger, `runs/<run>/ledger/<worker>.jsonl`: one file, or in S3 a segment a flush below that name.
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
  /** Bytes of each object that were read: up to the end of its last whole line. */
  private readonly read = new Map<string, number>();

  constructor(
    private readonly objects: ObjectStore,
    runId: string,
  ) {
    checkRunId(runId);
    this.prefix = `runs/${runId}/ledger/`;
  }

  /** The lines that were not there at the last call. One that a crash cut off is left out. */
  async readOn(): Promise<LedgerLine[]> {
    const keys: string[] = [];
    for await (const key of this.objects.list(this.prefix)) {
      // What lies below the log's own key is a part that never changes (ObjectStore.append).
      if (key.endsWith('.jsonl') || !this.read.has(key)) keys.push(key);
    }
    const limit = pLimit(READERS);
    const parts = await Promise.all(keys.map((key) => limit(() => this.readObject(key))));
    return parts.flat();
  }

  private async readObject(key: string): Promise<LedgerLine[]> {
    const from = this.read.get(key) ?? 0;
    const stream = await this.objects.stream(key, { from });
    if (!stream) return [];
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    const bytes = Buffer.concat(parts);
    const whole = bytes.lastIndexOf('\n') + 1;
    this.read.set(key, from + whole);
    return parseLines<LedgerLine>(bytes.subarray(0, whole)).values;
  }
}

const now = (): string => new Date().toISOString();
