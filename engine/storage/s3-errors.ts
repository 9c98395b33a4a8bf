import { StorageUnavailable } from '../../core/errors.js';
import { messageOf, systemCode } from './file-errors.js';

/** What a person can do about a refusal of S3, by its error's name. */
const ADVICE: Record<string, string> = {
  NoSuchBucket: 'there is no such bucket; make it, or name another one',
  NotFound: 'there is no such bucket; make it, or name another one',
  AccessDenied: 'access is denied; give these credentials the rights in docs/stores.md',
  Forbidden: 'access is denied; give these credentials the rights in docs/stores.md',
  InvalidAccessKeyId: 'the access key is unknown there; check AWS_ACCESS_KEY_ID and the profile',
  SignatureDoesNotMatch: 'the secret key does not fit; check AWS_SECRET_ACCESS_KEY and the profile',
  CredentialsProviderError: 'no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile',
  ExpiredToken: 'the credentials have expired; renew them',
  PermanentRedirect: 'the bucket is in another region; name it with ?region=',
  PreconditionFailed: 'another object took its place while it was read; read it again',
  SlowDown: 'the server asks to slow down, and went on doing so',
  XMinioStorageFull: 'the disk of the server is full; free some space',
  ECONNREFUSED: 'nothing listens there; start the server, or name another endpoint',
  ENOTFOUND: 'the host is unknown; check the endpoint',
  ECONNRESET: 'the connection was cut',
  TimeoutError: 'the server did not answer in time',
  RegionMissing: 'no region is named; set AWS_REGION, or add ?region= to the URI',
};

const BY_STATUS: Record<number, string> = { 301: 'PermanentRedirect', 403: 'Forbidden', 404: 'NotFound', 503: 'SlowDown' };

/** The name of an error of the AWS SDK, or of the system below it. */
export function s3ErrorName(error: unknown): string {
  const named = error as { name?: string; Code?: string };
  // The SDK wraps what it takes for no error; the system's own word is in the message then.
  const told = /\bE[A-Z]{5,}\b/.exec(messageOf(error))?.[0];
  // Its own error has no name but Error.
  if (messageOf(error) === 'Region is missing') return 'RegionMissing';
  return systemCode(error) ?? named.Code ?? told ?? named.name ?? 'Error';
}

export function s3Status(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** A refusal of S3 as StorageUnavailable that names the object and what to do. */
export function s3Unavailable(doing: string, uri: string, error: unknown): StorageUnavailable {
  const [told, status] = [s3ErrorName(error), s3Status(error)];
  // An answer to HEAD has no body, and so no name but its status.
  const name = told in ADVICE ? told : ((status === undefined ? undefined : BY_STATUS[status]) ?? told);
  const advice = ADVICE[name];
  return new StorageUnavailable(`cannot ${doing} ${uri}: ${advice ?? messageOf(error)} (${name})`, { cause: error });
}
