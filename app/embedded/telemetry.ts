import { DefaultLogger, Runtime, type LogEntry, type RuntimeOptions } from '@temporalio/worker';
import { BUCKETS } from '../../workers/index.js';
import { ServiceUnreachable } from '../client/service-unreachable.js';

export type LogFormat = 'text' | 'json';

export interface TelemetryOptions {
  /** `address:port` on which Prometheus finds `/metrics`: the SDK's metrics and the product's. Default: none are kept. */
  metrics?: string;
  /** `json`: one object a line on stderr. */
  logFormat?: LogFormat;
}

/**
 * Settles where this process's workers log and are measured: once, before any connection or worker is made.
 * @param rest further options of the runtime; its `logger` is that of the format `text`
 * @returns says something to whoever reads stderr, in the format that was asked for
 * @throws ServiceUnreachable where the address is taken
 */
export function installTelemetry({ metrics, logFormat }: TelemetryOptions, rest: RuntimeOptions = {}): (message: string) => void {
  const json = logFormat === 'json';
  const logger = json ? new DefaultLogger('INFO', (entry) => process.stderr.write(`${jsonLine(entry)}\n`)) : rest.logger;
  try {
    Runtime.install({
      ...rest,
      ...(logger ? { logger } : {}),
      telemetryOptions: {
        // What the SDK's own core has to say goes the same way, and not to stdout, where a command's JSON goes.
        logging: { filter: { core: 'WARN', other: 'ERROR' }, forward: {} },
        ...(metrics === undefined ? {} : { metrics: { prometheus: { bindAddress: metrics, ...PROMETHEUS } } }),
      },
    });
  } catch (error) {
    if (metrics === undefined) throw error;
    throw new ServiceUnreachable(`metrics cannot be served on ${metrics}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return (message) => {
    if (json) Runtime.instance().logger.info(message);
    else process.stderr.write(`${message}\n`);
  };
}

/** Names as Prometheus recommends them: `_total` for counters, the unit at the end, seconds. */
const PROMETHEUS = { countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true, histogramBucketOverrides: BUCKETS };

/** A log entry as one line of JSON: time, level and message first; an error as its type, message and stack. */
export function jsonLine({ timestampNanos, level, message, meta = {} }: LogEntry): string {
  const { taskToken: _, workflowId, ...fields } = meta;
  const time = new Date(Number(timestampNanos / 1_000_000n)).toISOString();
  // The ids of a run's workflows begin with its own.
  const place = typeof workflowId === 'string' ? { run: workflowId.split('/')[0], workflowId } : {};
  return JSON.stringify({ time, level: level.toLowerCase(), message, ...place, ...fields }, jsonValue);
}

/** What JSON cannot hold, as what a reader of logs can use. */
export function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (!(value instanceof Error)) return value;
  const type = 'type' in value && typeof value.type === 'string' ? value.type : value.name;
  return { type, message: value.message, stack: value.stack };
}
