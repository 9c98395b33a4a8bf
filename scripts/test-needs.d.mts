/** Path of libfaketime, to be preloaded; installs Debian's where that can be done without asking. */
export function findOrInstallFaketime(): Promise<string>;
