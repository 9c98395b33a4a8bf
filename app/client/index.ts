/** What the command line does, for programs: start, watch and steer runs. */
export { loadRecipe, RecipeError, type LoadedRecipe } from '../recipe/index.js';
export { connect, connectIfAny, findServer, type ConnectionSettings, type ConnectOptions, type OpenClient } from './connect.js';
export { prepareRun, software, type PreparedRun } from './prepare-run.js';
export { checkRunId, claimRun, DEFAULT_CONCURRENCY, isOpen, startRun, waitForRun, type Started, type StartOptions } from './start-run.js';
export { cancelRun, itemsToRetry, pauseRun, requireRun, resumeRun, retryRun, type RunName } from './control.js';
export { getStatus, isOver, type RunStatus } from './status.js';
export { queuesWithoutWorker } from './queues.js';
export { ServiceUnreachable } from './service-unreachable.js';
