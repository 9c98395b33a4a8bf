/** A run with a store of its own on a cluster's server, and the commands that start, follow and steer it. */
import { join } from 'node:path';
import { cliJson, scratch } from './cli.js';
import type { Cluster } from './cluster.js';
import { completed, readLedger, type RunDocument, type StatusDocument } from './runs.js';
import { writeRecipe, type SmallRecipe } from './small-recipe.js';
import { until } from './processes.js';

export class ClusterRun {
  readonly folder = scratch();
  readonly store = join(this.folder, 'store');
  private readonly recipe: string;

  /** @param cluster asked for when a command runs: it is started after the tests are described */
  constructor(
    protected readonly cluster: () => Cluster,
    readonly id: string,
    recipe: SmallRecipe,
  ) {
    this.recipe = writeRecipe(this.folder, recipe);
  }

  private on = (...args: string[]) => [...args, '--store', this.store, '--address', this.cluster().address];
  start = (...args: string[]) => cliJson<RunDocument>(this.on('run', this.recipe, '--run', this.id, '--detach', ...args));
  follow = (code = 0) => cliJson<RunDocument>(this.on('run', this.recipe, '--run', this.id), code);
  command = (name: string, ...args: string[]) => cliJson<StatusDocument>(this.on(name, this.id, ...args));
  ledger = () => readLedger(this.store, this.id);

  /** Waits until so many pictures are made. */
  pictures = (n: number) =>
    until(`${n} pictures`, async () => completed(await this.ledger()).filter(({ step }) => step === 'generate').length >= n);
}
