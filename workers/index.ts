/** Processes that poll. */
export { checkGpuOptions, defaultName, RefineLoopPlugin, type RefineLoopPluginOptions } from './plugin.js';
export { createWorker, GRACE_SECONDS, type CreateWorkerOptions } from './create-worker.js';
export { BUCKETS } from '../activities/index.js';
export { ensureSearchAttributes } from './search-attributes.js';
