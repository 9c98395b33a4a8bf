import type { WorkflowClientInterceptor } from '@temporalio/client';
import { OpenTelemetryPlugin, OpenTelemetryWorkflowClientInterceptor } from '@temporalio/interceptors-opentelemetry';
import type { WorkerOptions } from '@temporalio/worker';

type Export = NonNullable<NonNullable<WorkerOptions['sinks']>['exporter']>['export'];

/** Of a client: what begins or steers something. Looks at how a run goes would each be a trace of its own. */
export function clientInterceptor(): WorkflowClientInterceptor {
  const all = new OpenTelemetryWorkflowClientInterceptor();
  return {
    start: (input, next) => all.start(input, next),
    startWithDetails: (input, next) => all.startWithDetails(input, next),
    startUpdate: (input, next) => all.startUpdate(input, next),
    signal: (input, next) => all.signal(input, next),
    cancel: (input, next) => all.cancel(input, next),
  };
}

/** OpenTelemetry for Temporal, whose spans of workflows say which run and item they belong to, and no more of what the workflow is. */
export class RunTracing extends OpenTelemetryPlugin {
  override configureWorker(options: WorkerOptions): WorkerOptions {
    const configured = super.configureWorker(options);
    const { fn, ...rest } = configured.sinks!['exporter']!['export'] as Export;
    const told: Export['fn'] = ({ workflowId, runId, attempt, searchAttributes }, spans) => {
      const item = searchAttributes['RefineItem']?.[0];
      const place = { 'refineloop.run': workflowId.split('/')[0], ...(item === undefined ? {} : { 'refineloop.item': item }) };
      return fn({ ...place, temporalWorkflowId: workflowId, run_id: runId, 'refineloop.attempt': attempt } as never, spans);
    };
    return { ...configured, sinks: { ...configured.sinks, exporter: { export: { fn: told, ...rest } } } };
  }
}
