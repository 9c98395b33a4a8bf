import type { MetricMeter, MetricTags } from '@temporalio/common';
import type { ItemPlan } from '../core/item-plan.js';
import type { LedgerEnd, LedgerStart, LedgerStep, LedgerWriter } from '../engine/storage/index.js';

/** Upper bounds of the histograms' buckets, by metric: for the exporter, which is set up before any of them is made. */
export const BUCKETS: Record<string, number[]> = {
  refineloop_step: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000],
  refineloop_queue_wait: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000],
  refineloop_device_busy: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000],
  refineloop_cost: [0.000_1, 0.001, 0.01, 0.1, 1],
};

/** The product's own metrics; what each says, with its tags, is in docs/observability.md. The exporter adds units to the names. */
export function stepMetrics(meter: MetricMeter) {
  return {
    steps: meter.createCounter('refineloop_steps', '', 'Attempts of steps that have ended, and results that were found recorded'),
    images: meter.createCounter('refineloop_images', '', 'Images made'),
    seconds: meter.createHistogram('refineloop_step', 'float', 'seconds', 'What an attempt took, its wait for a device left out'),
    cost: meter.createHistogram('refineloop_cost', 'float', 'usd', 'What a call was billed'),
    queueWait: meter.createHistogram('refineloop_queue_wait', 'float', 'seconds', 'From when a step could run to when a worker took it'),
    failures: meter.createCounter('refineloop_failures', '', 'Attempts of activities that failed, by type'),
    deviceBusy: meter.createHistogram(
      'refineloop_device_busy',
      'float',
      'seconds',
      'How long a request had a device; the sum is its busy time',
    ),
  };
}

export type StepMetrics = ReturnType<typeof stepMetrics>;

/** What a step tells of itself. */
export type StepLedger = Pick<LedgerWriter, 'start' | 'end' | 'recorded'>;

/** A ledger whose rows are counted as well, so that metrics and ledger agree. */
export class CountedLedger implements StepLedger {
  private readonly begun = new Map<string, LedgerStart>();

  constructor(
    private readonly ledger: StepLedger,
    private readonly plan: ItemPlan,
    private readonly metrics: () => StepMetrics,
  ) {}

  async start(entry: LedgerStart): Promise<string> {
    const id = await this.ledger.start(entry);
    this.begun.set(id, entry);
    return id;
  }

  async end(entry: LedgerEnd): Promise<void> {
    await this.ledger.end(entry);
    const start = this.begun.get(entry.id);
    if (!start) return;
    this.begun.delete(entry.id);
    const { steps, images, seconds, cost } = this.metrics();
    const tags = this.tags(start);
    steps.add(1, { ...tags, status: entry.status });
    seconds.record(entry.seconds, tags);
    if (entry.status === 'completed' && start.step === 'generate') images.add(1, { source: tags['source']! });
    if (entry.usd) cost.record(entry.usd, tags);
  }

  async recorded(entry: LedgerStep): Promise<void> {
    await this.ledger.recorded(entry);
    this.metrics().steps.add(1, { ...this.tags(entry), status: 'recorded' });
  }

  /** `round0`: of all arms. */
  private tags({ step, arm }: LedgerStep): MetricTags {
    const source = arm === null ? 'round0' : (this.plan.arms.find(({ name }) => name === arm)?.source ?? 'control');
    return { step, source };
  }
}
