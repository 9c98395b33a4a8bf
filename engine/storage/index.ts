/** Stores: artifacts, step records, the files of runs, the ledger. */
export * from './object-store.js';
export * from './file-object-store.js';
export * from './artifact-store.js';
export * from './step-records.js';
export * from './run-files.js';
export * from './ledger.js';
export * from './folder-artifact.js';
export * from './training-files.js';
export * from './verify.js';
export * from './collect-garbage.js';
export * from './store.js';
export * from './open-store.js';
export { objectUri } from './s3-uri.js';
export { makeFolder } from './make-folder.js';
export { storageUnavailable } from './file-errors.js';
