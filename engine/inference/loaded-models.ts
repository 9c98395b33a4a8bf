import { OutOfMemory } from '../../core/errors.js';

/** What a model folder becomes in memory. */
export interface LoadedModel {
  /** Of its weights that are loaded. */
  readonly bytes: number;
  /** Frees them; it is not used again. */
  release(): Promise<void>;
}

/** Does something again, with more memory, where it fails for want of it. */
export type MakesRoom = <T>(work: () => Promise<T>) => Promise<T>;

/** Models of one process by name. Above the budget the least recently used are let go; the one in use stays, however large. */
export class LoadedModels {
  /** The least recently used first. */
  private readonly models = new Map<string, LoadedModel>();
  private inUse: LoadedModel | undefined;

  /** @param budgetBytes of weights; default: no bound */
  constructor(private readonly budgetBytes: number = Infinity) {}

  /** Works with a model, which is loaded first where it is not there. Not for two calls at once: the second could let the first one's model go. */
  async use<T extends LoadedModel, R>(name: string, load: () => Promise<T>, work: (model: T) => Promise<R>): Promise<R> {
    const model = (this.models.get(name) as T | undefined) ?? (await this.withRoom(load));
    this.models.delete(name);
    this.models.set(name, model);
    this.inUse = model;
    try {
      return await work(model);
    } finally {
      await this.keepWithin(this.budgetBytes);
      this.inUse = undefined;
    }
  }

  /** Something that needs memory: where it fails with OutOfMemory, all models but the one in use are let go, and it is tried once more. */
  withRoom: MakesRoom = async (work) => {
    try {
      return await work();
    } catch (error) {
      const others = this.models.size - (this.inUse ? 1 : 0);
      if (!(error instanceof OutOfMemory) || others === 0) throw error;
      await this.keepWithin(0);
      return work();
    }
  };

  private async keepWithin(budgetBytes: number): Promise<void> {
    let total = [...this.models.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [name, model] of this.models) {
      if (total <= budgetBytes) return;
      if (model === this.inUse) continue;
      total -= model.bytes;
      this.models.delete(name);
      await model.release();
    }
  }
}
