/** Keys of the servers that are started here. */
export const USER: string;
export const PASSWORD: string;

/** Path of a MinIO server, which is fetched or built where there is none. */
export function findOrInstallMinio(): Promise<string>;
