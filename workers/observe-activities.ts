import { trace, type Span } from '@opentelemetry/api';
import { ApplicationFailure, type Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';
import type { StepMetrics } from '../activities/index.js';
import type { ItemRef } from '../activities/types.js';
import type { TrainingRef } from '../core/training.js';
import type { RunRef, StepAt, StepName } from '../core/types.js';

/** Where an activity belongs, as far as its input says it. */
export interface ActivityPlace {
  run?: string;
  item?: string;
  step?: StepName;
  arm?: string;
  round?: number;
  worker: string;
  device: string;
}

/** The activities that are steps. */
const STEPS: Record<string, StepName> = { generateImage: 'generate', embed: 'embed', writeFeedback: 'feedback', scoreImage: 'score' };

/** Counts waits and failures of the product's activities, and puts their place into every line that is logged about them. */
export function observeActivities(context: Context, metrics: () => StepMetrics, worker: string, device: string): ActivityInterceptors {
  const { activityType, attempt, isLocal, currentAttemptScheduledTimestampMs } = context.info;
  const step = STEPS[activityType];
  let place: ActivityPlace = { worker, device };
  let span: Span | undefined;
  return {
    inbound: {
      async execute(input, next) {
        place = { ...placeOf(input.args[0]), ...(step ? { step } : {}), worker, device };
        span = trace.getActiveSpan();
        span?.setAttributes(spanAttributes({ ...place, attempt }));
        if (step && !isLocal) {
          // Two clocks: the server's and this machine's.
          const seconds = Math.max(0, Date.now() - currentAttemptScheduledTimestampMs) / 1000;
          metrics().queueWait.record(seconds, { step });
        }
        try {
          return await next(input);
        } catch (error) {
          if (error instanceof ApplicationFailure) {
            const type = error.type ?? 'Unexpected';
            metrics().failures.add(1, { step: step ?? activityType, type });
            span?.setAttribute('error.type', type);
          }
          throw error;
        }
      },
    },
    outbound: { getLogAttributes: (attributes, next) => next({ ...attributes, ...place, ...traceOf(span) }) },
  };
}

/** Named as OpenTelemetry names them in logs. What the SDK logs of an attempt's end it logs when the span is no longer active. */
function traceOf(span: Span | undefined): Record<string, string> {
  const context = span?.spanContext();
  return context ? { trace_id: context.traceId, span_id: context.spanId } : {};
}

const spanAttributes = (place: Record<string, string | number>) =>
  Object.fromEntries(Object.entries(place).map(([name, value]) => [`refineloop.${name}`, value]));

function placeOf(input: unknown): Pick<ActivityPlace, 'run' | 'item' | 'arm' | 'round'> {
  const { item, at, run = item?.run, training } = (input ?? {}) as { item?: ItemRef; at?: StepAt; run?: RunRef; training?: TrainingRef };
  const id = run?.runId ?? training?.trainingId;
  return {
    ...(id === undefined ? {} : { run: id }),
    ...(item ? { item: item.id } : {}),
    ...(at ? { round: at.round } : {}),
    ...(at?.arm ? { arm: at.arm } : {}),
  };
}
