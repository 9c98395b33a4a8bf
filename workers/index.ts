/** Processes that poll. */
export { RefineLoopPlugin, type RefineLoopPluginOptions } from './plugin.js';
export { createWorker, type CreateWorkerOptions } from './create-worker.js';
export { BUCKETS } from '../activities/index.js';
export { ensureSearchAttributes } from './search-attributes.js';
