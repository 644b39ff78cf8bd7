export {
  apiKey,
  basic,
  bearer,
  type ClientCredentials,
  clientCredentials,
  custom,
  type HttpAuth,
  type SignableRequest,
  type SignRequest,
} from './auth.ts';
export { type HttpConnection, http } from './connection.ts';
export type { HttpOptions } from './connection-options.ts';
export type { HttpFiles } from './files.ts';
export type { JsonPath } from './json/path.ts';
export type { Numbers, PostBody } from './json/row-text.ts';
export { cursor, linkHeader, nextUrl, offset, type PageSize, type Pages, pageNumber, singlePage } from './pages.ts';
export { postFailpoints } from './post-sink.ts';
export type { PostOptions, PostTarget } from './post-target.ts';
export type { ParameterValue, RowsOptions } from './rows-options.ts';
export type { SinceOptions } from './since.ts';
export type { StandardSchema } from './standard-schema.ts';
