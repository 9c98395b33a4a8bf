import { NativeConnection } from '@temporalio/worker';
import type { Command } from 'commander';
import { Option } from 'commander';
import { InvalidInput } from '../../../core/errors.js';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '../../../core/recipe.js';
import { storeUri } from '../../../engine/storage/index.js';
import { DEVICE_ROLES, WORKER_ROLES, type DeviceRole, type WorkerRole } from '../../../core/queues.js';
import { trainerProgram, trainerPython } from '../../../engine/training/index.js';
import { checkGpuOptions, createWorker, defaultName, GRACE_SECONDS } from '../../../workers/index.js';
import { findServer } from '../../client/connect.js';
import { tracing } from '../../client/tracing.js';
import { ServiceUnreachable } from '../../client/service-unreachable.js';
import { installTelemetry, type TelemetryOptions } from '../../embedded/telemetry.js';
import { hasProvider } from '../find-devices.js';
import {
  integer,
  storeOf,
  withCommonOptions,
  withTelemetryOptions,
  withTrainerOptions,
  type CommonOptions,
  type TrainerOptions,
} from '../context.js';

interface WorkerCommandOptions extends CommonOptions, TelemetryOptions, TrainerOptions {
  queue: WorkerRole;
  device?: number;
  provider?: ExecutionProvider;
  name?: string;
  roles?: DeviceRole[];
  batch?: number;
  modelMemory?: number;
  memoryLimit?: number;
  hangTimeout?: number;
  grace?: number;
  buildId?: string;
}

const FOR_GPU = [
  ['device', '--device'],
  ['provider', '--provider'],
  ['name', '--name'],
  ['roles', '--roles'],
  ['batch', '--batch'],
  ['modelMemory', '--model-memory'],
  ['memoryLimit', '--memory-limit'],
  ['hangTimeout', '--hang-timeout'],
] as const;

export function workerCommand(program: Command): void {
  const command = program
    .command('worker')
    .description('one worker for a cluster; ends on Ctrl-C or SIGTERM when its steps are through')
    .addOption(new Option('--queue <role>', 'what it works on').choices(WORKER_ROLES).makeOptionMandatory())
    .option('--device <n>', 'device of a gpu worker; one worker a device (default: 0)', integer(0, 1023))
    .addOption(
      new Option('--provider <name>', 'ONNX Runtime execution provider of a gpu worker (default: cpu)').choices(EXECUTION_PROVIDERS),
    )
    .option('--name <name>', 'of a gpu worker, for recipes that pin steps to it (default: <hostname>-<provider>-<device>)')
    .option('--roles <list>', `what a gpu worker is for, of ${DEVICE_ROLES.join(',')} (default: all)`, (text) => text.split(','))
    .option(
      '--batch <n>',
      'most compatible requests that its device runs as one; it takes on twice as many steps (default: 1)',
      integer(1, 256),
    )
    .option('--model-memory <mib>', 'weights that the device of a gpu worker keeps loaded (default: all)', integer(1, 2 ** 31))
    .option(
      '--memory-limit <mib>',
      'memory above which the inference process of a gpu worker is killed (default: none)',
      integer(1, 2 ** 31),
    )
    .option('--hang-timeout <s>', 'seconds without a sign of life after which that process is killed (default: 120)', integer(1, 86_400))
    .option(
      '--grace <s>',
      `seconds that its steps are given to end when it is stopped (default: ${GRACE_SECONDS}; a training, which leaves a checkpoint, none)`,
      integer(0, 86_400),
    )
    .option('--build-id <id>', 'version of an orchestrator in the worker deployment "refineloop"; see docs/deploying.md');
  withTrainerOptions(withTelemetryOptions(withCommonOptions(command))).action(async (options: WorkerCommandOptions) => {
    if (options.buildId !== undefined && options.queue !== 'orchestrator')
      throw new InvalidInput(`--build-id is for orchestrators: a worker on queue ${options.queue} runs no workflows`);
    const forGpu = FOR_GPU.find(([option]) => options[option] !== undefined);
    if (options.queue !== 'gpu' && forGpu)
      throw new InvalidInput(`${forGpu[1]} is for gpu workers: a worker on queue ${options.queue} has no device`);
    const { device = 0, provider = 'cpu', roles, batch = 1 } = options;
    const name = options.name ?? defaultName(provider, device);
    checkGpuOptions(name, roles ?? DEVICE_ROLES, batch);
    if (!(await hasProvider(provider)))
      throw new InvalidInput(
        `--provider ${provider}: its libraries are not installed; \`npm rebuild onnxruntime-node\` fetches CUDA's (docs/devices.md)`,
      );
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
      const { queue: role, buildId, grace: graceSeconds } = options;
      const memory = { modelMemoryMb: options.modelMemory, memoryLimitMb: options.memoryLimit, hangTimeoutSeconds: options.hangTimeout };
      const plugins = traces ? [traces.plugin] : [];
      const training = role === 'train' ? { trainer: options.trainer, python: await trainerPython(options.python, log) } : {};
      if (role === 'train') await trainerProgram(options.trainer);
      const how = { role, device, provider, name, roles, batch, ...memory, ...training, store, buildId, graceSeconds, plugins };
      const worker = await createWorker({ connection, namespace, ...how });
      const on = `${role}${role === 'gpu' ? `, device ${provider}:${device}` : ''}`;
      const as = role === 'gpu' ? `, name ${name}, roles ${(roles ?? DEVICE_ROLES).join(' ')}` : '';
      log(
        `worker on queue ${on}, server ${connectionOptions.address ?? 'localhost:7233'}, namespace ${namespace}, pid ${process.pid}${as}`,
      );
      await worker.run();
    } finally {
      await connection.close();
      await traces?.flush();
    }
  });
}
