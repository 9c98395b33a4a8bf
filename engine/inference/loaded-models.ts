import { OutOfMemory } from '../../core/errors.js';

/** What a model folder becomes in memory. */
export interface LoadedModel {
  /** Of its weights that are loaded. */
  readonly bytes: number;
  /** Frees them; it is not used again. */
  release(): Promise<void>;
}

/** Models of one process by name. Above the budget the least recently used are let go; the one in use stays, however large. */
export class LoadedModels {
  /** The least recently used first. */
  private readonly models = new Map<string, LoadedModel>();

  /** @param budgetBytes of weights; default: no bound */
  constructor(private readonly budgetBytes: number = Infinity) {}

  /** Works with a model, which is loaded first where it is not there. Not for two calls at once: the second could let the first one's model go. */
  async use<T extends LoadedModel, R>(name: string, load: () => Promise<T>, work: (model: T) => Promise<R>): Promise<R> {
    const model = (this.models.get(name) as T | undefined) ?? (await this.load(load));
    this.models.delete(name);
    this.models.set(name, model);
    try {
      return await work(model);
    } finally {
      await this.keepWithin(this.budgetBytes, model);
    }
  }

  private async load<T>(load: () => Promise<T>): Promise<T> {
    try {
      return await load();
    } catch (error) {
      if (!(error instanceof OutOfMemory) || this.models.size === 0) throw error;
      await this.keepWithin(0);
      return load();
    }
  }

  private async keepWithin(budgetBytes: number, inUse?: LoadedModel): Promise<void> {
    let total = [...this.models.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [name, model] of this.models) {
      if (total <= budgetBytes) return;
      if (model === inUse) continue;
      total -= model.bytes;
      this.models.delete(name);
      await model.release();
    }
  }
}
