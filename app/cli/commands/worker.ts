import { NativeConnection } from '@temporalio/worker';
import type { Command } from 'commander';
import { Option } from 'commander';
import { InvalidInput } from '../../../core/errors.js';
import type { QueueRole } from '../../../core/item-plan.js';
import { storeUri } from '../../../engine/storage/index.js';
import { createWorker } from '../../../workers/index.js';
import { findServer } from '../../client/connect.js';
import { tracing } from '../../client/tracing.js';
import { ServiceUnreachable } from '../../client/service-unreachable.js';
import { installTelemetry, type TelemetryOptions } from '../../embedded/telemetry.js';
import { integer, storeOf, withCommonOptions, withTelemetryOptions, type CommonOptions } from '../context.js';

interface WorkerCommandOptions extends CommonOptions, TelemetryOptions {
  queue: QueueRole;
  device: number;
  provider: string;
  buildId?: string;
}

export function workerCommand(program: Command): void {
  const command = program
    .command('worker')
    .description('one worker for a cluster; ends on Ctrl-C or SIGTERM when its steps are through')
    .addOption(new Option('--queue <role>', 'what it works on').choices(['orchestrator', 'cpu', 'gpu']).makeOptionMandatory())
    .option('--device <n>', 'device of a gpu worker; one worker a device', integer(0, 1023), 0)
    .option('--provider <name>', 'ONNX Runtime execution provider of a gpu worker', 'cpu')
    .option('--build-id <id>', 'version of an orchestrator in the worker deployment "refineloop"; see docs/deploying.md');
  withTelemetryOptions(withCommonOptions(command)).action(async (options: WorkerCommandOptions) => {
    if (options.buildId !== undefined && options.queue !== 'orchestrator')
      throw new InvalidInput(`--build-id is for orchestrators: a worker on queue ${options.queue} runs no workflows`);
    if (options.buildId === '') throw new InvalidInput('--build-id is empty; name the version, such as 1.1.0');
    const settings = await findServer({ ...options, storeUri: storeOf(options) });
    if (!settings)
      throw new ServiceUnreachable('no Temporal server is known: give --address, set TEMPORAL_ADDRESS, or start `refineloop dev`');
    const { connectionOptions, namespace } = settings;
    const log = installTelemetry(options);
    const traces = await tracing(log);
    const connection = await NativeConnection.connect(connectionOptions).catch((error: unknown) => {
      throw new ServiceUnreachable(`no Temporal server answers on ${connectionOptions.address ?? 'localhost:7233'}`, { cause: error });
    });
    try {
      // A store that is named here is where this machine sees it; else the run says where it is.
      const store = options.store === undefined ? undefined : storeUri(options.store, process.cwd());
      const { queue: role, device, provider, buildId } = options;
      const plugins = traces ? [traces.plugin] : [];
      const worker = await createWorker({ connection, namespace, role, device, provider, store, buildId, plugins });
      log(
        `worker on queue ${role}${role === 'gpu' ? `, device ${provider}:${device}` : ''}, server ${connectionOptions.address ?? 'localhost:7233'}, namespace ${namespace}, pid ${process.pid}`,
      );
      await worker.run();
    } finally {
      await connection.close();
      await traces?.flush();
    }
  });
}
