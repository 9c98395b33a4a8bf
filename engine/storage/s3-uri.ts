import { InvalidInput } from '../../core/errors.js';

/** Where a store in S3 is. */
export interface S3Location {
  bucket: string;
  /** Without slashes at its ends; empty: the bucket as a whole. */
  prefix: string;
  /** Base URL of a server that is not AWS; `null`: as the environment says (`AWS_ENDPOINT_URL_S3`), else AWS. */
  endpoint: string | null;
  region: string | null;
  /** Bucket in the path instead of in the host; `null`: in the path wherever an endpoint is named. */
  pathStyle: boolean | null;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const OPTIONS = ['endpoint', 'region', 'path_style'];
const FORM = 's3://bucket/prefix, where needed with ?endpoint=http://host:9000&region=...&path_style=true';

/** @throws InvalidInput on what is no store in S3 */
export function parseS3Uri(text: string): S3Location {
  const refuse = (why: string): never => {
    throw new InvalidInput(`"${text}" is no store: ${why}; the form is ${FORM}`);
  };
  const [, bucket = '', path = '', query = ''] = /^s3:\/\/([^/?#]*)\/?([^?#]*)\??(.*)$/i.exec(text) ?? refuse('it names no bucket');
  if (!BUCKET.test(bucket)) refuse(bucket === '' ? 'it names no bucket' : `"${bucket}" cannot be the name of a bucket`);
  const prefix = path.replace(/^\/+|\/+$/g, '');
  if (prefix !== '' && prefix.split('/').some((part) => part === '' || part === '.' || part === '..')) refuse(`"${path}" is no prefix`);
  const options = new URLSearchParams(query);
  for (const name of options.keys()) if (!OPTIONS.includes(name)) refuse(`"${name}" is unknown, known are ${OPTIONS.join(', ')}`);
  const endpoint = options.get('endpoint');
  if (endpoint !== null && !/^https?:\/\/[^/]+\/?$/.test(endpoint)) refuse(`the endpoint "${endpoint}" is no URL of a server`);
  const style = options.get('path_style');
  if (style !== null && style !== 'true' && style !== 'false') refuse(`path_style is true or false, not "${style}"`);
  return {
    bucket,
    prefix,
    endpoint: endpoint === null ? null : endpoint.replace(/\/$/, ''),
    region: options.get('region'),
    pathStyle: style === null ? null : style === 'true',
  };
}

/** The one way of writing a location, so that two processes call one store by one name. */
export function formatS3Uri({ bucket, prefix, endpoint, region, pathStyle }: S3Location): string {
  const options = Object.entries({ endpoint, region, path_style: pathStyle })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value)).replace(/%3A/g, ':').replace(/%2F/g, '/')}`);
  return `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}${options.length > 0 ? `?${options.join('&')}` : ''}`;
}

/** The URI of an object in a store: the key goes before what comes after `?`. */
export function objectUri(storeUri: string, key: string): string {
  const [place, options] = storeUri.split('?');
  return `${place}${key === '' ? '' : `/${key}`}${options === undefined ? '' : `?${options}`}`;
}
