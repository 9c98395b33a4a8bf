/** Scores of pictures and the statistics over them. */
export * from './pixels.js';
export * from './ssim.js';
export * from './psnr.js';
export * from './cosine.js';
export * from './scores.js';
export * from './statistics/bca-bootstrap.js';
export * from './statistics/permutation-test.js';
export * from './statistics/holm.js';
export * from './statistics/normal-distribution.js';
export * from './statistics/win-rate.js';
export * from './statistics/detectable-gain.js';
export * from './statistics/copied-ngrams.js';
export * from './statistics/effect-size.js';
export * from './statistics/variance-components.js';
