import { awsFailure, MillraceError } from '@millrace/core/runtime';

export interface RedshiftPlace {
  /** A workgroup's where it is serverless. */
  readonly kind: 'cluster' | 'workgroup';
  readonly name: string;
  readonly region: string;
  readonly database: string;
  /** Of the database, which has to be there; null for the one that stands for the caller's own identity. */
  readonly user: string | null;
}

export interface RedshiftLogin {
  /** As Redshift wants it: `IAM:etl`, `IAMR:role`. */
  readonly user: string;
  readonly password: string;
}

interface Kept {
  readonly login: RedshiftLogin;
  readonly until: number;
}

/** By place: each connection would ask anew otherwise, and Redshift answers a few each second. */
const logins = new Map<string, Kept>();

/** One that has less left than this is not used any more, in milliseconds. */
const marginMs = 60_000;
/** What Redshift gives where nobody asks for more. */
const validMs = 15 * 60_000;

/**
 * User and password for a while, by the identity of this process. What was told is kept until a minute before it expires.
 *
 * @throws CONFIG_INVALID without the package of the service's client, ACCESS_DENIED, AUTHENTICATION_FAILED without credentials
 */
export async function redshiftLogin(place: RedshiftPlace): Promise<RedshiftLogin> {
  const key = JSON.stringify(place);
  const kept = logins.get(key);
  if (kept && Date.now() < kept.until - marginMs) return kept.login;
  try {
    const { user, password, until } = await (place.kind === 'cluster' ? fromCluster(place) : fromWorkgroup(place));
    if (!user || !password) throw new SyntaxError('neither user nor password');
    const login = { user, password };
    logins.set(key, { login, until: until?.getTime() ?? Date.now() + validMs });
    return login;
  } catch (error) {
    throw awsFailure(error, { service: 'Redshift', doing: `asking for a log-in to ${place.name}`, grant: grantOf(place) });
  }
}

interface Answer {
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly until: Date | undefined;
}

async function fromCluster({ name: ClusterIdentifier, region, database: DbName, user }: RedshiftPlace): Promise<Answer> {
  const sdk = await installed('@aws-sdk/client-redshift', () => import('@aws-sdk/client-redshift'));
  const client = new sdk.RedshiftClient({ region, requestHandler });
  const { DbUser, DbPassword, Expiration } = await (user === null
    ? client.send(new sdk.GetClusterCredentialsWithIAMCommand({ ClusterIdentifier, DbName }))
    : client.send(new sdk.GetClusterCredentialsCommand({ ClusterIdentifier, DbName, DbUser: user, AutoCreate: false })));
  return { user: DbUser, password: DbPassword, until: Expiration };
}

async function fromWorkgroup({ name: workgroupName, region, database: dbName }: RedshiftPlace): Promise<Answer> {
  const sdk = await installed('@aws-sdk/client-redshift-serverless', () => import('@aws-sdk/client-redshift-serverless'));
  const client = new sdk.RedshiftServerlessClient({ region, requestHandler });
  const { dbUser, dbPassword, expiration } = await client.send(new sdk.GetCredentialsCommand({ workgroupName, dbName }));
  return { user: dbUser, password: dbPassword, until: expiration };
}

const requestHandler = { connectionTimeout: 5_000, requestTimeout: 15_000, throwOnRequestTimeout: true };

const grantOf = ({ kind, user }: RedshiftPlace): string => {
  if (kind === 'workgroup') return 'redshift-serverless:GetCredentials on the workgroup';
  return user === null
    ? 'redshift:GetClusterCredentialsWithIAM on the database (dbname)'
    : 'redshift:GetClusterCredentials on the user and the database (dbuser, dbname)';
};

async function installed<Sdk>(name: string, load: () => Promise<Sdk>): Promise<Sdk> {
  try {
    return await load();
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `A connection logs in to Redshift by IAM, and the package ${name} is not installed.`,
      remedy: `Run "npm install ${name}".`,
      cause,
    });
  }
}
