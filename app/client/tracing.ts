import type { OpenTelemetryPlugin } from '@temporalio/interceptors-opentelemetry';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import { InvalidInput } from '../../core/errors.js';

/** Traces of this process, as OpenTelemetry's environment variables say. */
export interface Tracing {
  /** For workers. */
  plugin: OpenTelemetryPlugin;
  clientInterceptor: WorkflowClientInterceptor;
  /** Delivers what has not been yet; what cannot be delivered is said and dropped. */
  flush(): Promise<void>;
}

let started: Promise<Tracing | null> | undefined;

/**
 * Sends traces to where OTEL_EXPORTER_OTLP_ENDPOINT says; `null`, with nothing loaded, where it says nothing. One for the process.
 * @param log is told, once, when traces do not arrive
 */
export function tracing(log: (message: string) => void = (message) => process.stderr.write(`${message}\n`)): Promise<Tracing | null> {
  return (started ??= start(log));
}

async function start(log: (message: string) => void): Promise<Tracing | null> {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED, OTEL_SERVICE_NAME } = process.env;
  const endpoint = OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || OTEL_SDK_DISABLED === 'true') return null;
  const [{ diag, DiagLogLevel }, { NodeTracerProvider, BatchSpanProcessor }, resources, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/resources'),
    exporter(),
  ]);
  let said = false;
  const error = (message: string) => {
    if (!said) log(`traces do not arrive at ${endpoint}: ${message}`);
    said = true;
  };
  const ignored = () => undefined;
  diag.setLogger({ error, warn: ignored, info: ignored, debug: ignored, verbose: ignored }, DiagLogLevel.ERROR);
  const { Resource, detectResourcesSync, envDetectorSync } = resources;
  const resource = new Resource({ 'service.name': OTEL_SERVICE_NAME || 'refineloop' }).merge(
    detectResourcesSync({ detectors: [envDetectorSync] }),
  );
  const spanProcessor = new BatchSpanProcessor(new OTLPTraceExporter());
  const provider = new NodeTracerProvider({ resource, spanProcessors: [spanProcessor] });
  provider.register();
  const { RunTracing, clientInterceptor } = await import('./run-tracing.js');
  return {
    plugin: new RunTracing({ resource, spanProcessor }),
    clientInterceptor: clientInterceptor(),
    flush: () => provider.forceFlush().catch((failure: unknown) => error(String(failure))),
  };
}

function exporter() {
  const { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL } = process.env;
  const protocol = OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf';
  if (protocol === 'http/protobuf') return import('@opentelemetry/exporter-trace-otlp-proto');
  if (protocol === 'http/json') return import('@opentelemetry/exporter-trace-otlp-http');
  throw new InvalidInput(`OTEL_EXPORTER_OTLP_PROTOCOL is ${protocol}; traces are sent as http/protobuf or http/json, usually to port 4318`);
}
