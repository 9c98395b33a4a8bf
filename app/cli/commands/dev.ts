import type { Command } from 'commander';
import { connectIfAny } from '../../client/connect.js';
import { InvalidInput } from '../../../core/errors.js';
import { startEmbedded } from '../../embedded/start-embedded.js';
import type { TelemetryOptions } from '../../embedded/telemetry.js';
import { storeOf, withCommonOptions, withTelemetryOptions, withTrainerOptions, type TrainerOptions } from '../context.js';
import type { ExecuteOptions } from '../execute-run.js';
import { onInterrupt } from '../interrupt.js';
import { print, printJson } from '../output.js';
import { withServerOptions } from './run.js';

type DevOptions = ExecuteOptions & TelemetryOptions & TrainerOptions;

export function devCommand(program: Command): void {
  const command = program.command('dev').description('server, workers and page on a store, until Ctrl-C');
  withTrainerOptions(withTelemetryOptions(withServerOptions(withCommonOptions(command)))).action(async (options: DevOptions) => {
    const storeUri = storeOf(options);
    const running = await connectIfAny({ storeUri });
    if (running?.settings.source === 'embedded') {
      await running.close();
      throw new InvalidInput(
        `an embedded server is up on ${storeUri} already (${running.settings.ui}); stop it first, or name another store with --store`,
      );
    }
    const { trainer, python } = options;
    const embedded = await startEmbedded({ ...options, storeUri, training: { trainer, python } });
    const interrupt = onInterrupt();
    try {
      const { address } = embedded.open.settings.connectionOptions;
      if (options.json) printJson({ address, ui: embedded.ui, web: embedded.web, store: storeUri });
      else
        [
          `Temporal     ${address}`,
          `Temporal UI  ${embedded.ui}`,
          `reports      ${embedded.web}`,
          `artifacts    ${storeUri}`,
          '',
          'Ctrl-C stops them.',
        ].forEach((line) => print(line));
      await Promise.race([interrupt.signalled, embedded.broken]);
      embedded.log('stopping …');
    } finally {
      interrupt.dispose();
      await embedded.stop();
    }
  });
}
