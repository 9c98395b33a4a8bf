/** What a run came to: the results document and its faces. */
export * from './results-document.js';
export * from './results.js';
export * from './headline.js';
export * from './replay.js';
export * from './report-sink.js';
export * from './timings.js';
export * from './write-report.js';
