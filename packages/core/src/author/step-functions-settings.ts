/** What a state machine of Step Functions needs to know of the account that it runs in. No secrets: it is written into a template. */
export interface StepFunctionsSettings {
  /** `eu-west-1` */
  readonly region: string;
  /** Name or ARN of the ECS cluster in which stages run. */
  readonly cluster: string;
  /** Private ones with a way to ECR, CloudWatch Logs, Secrets Manager and the databases. */
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  /** For subnets without NAT; false by default. */
  readonly publicIp?: boolean;
  /** The project's image, with a tag or digest that stays: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/etl:4f2a91c`. */
  readonly image: string;
  /** CPU units of a task, 1024 by default. */
  readonly cpu?: 256 | 512 | 1024 | 2048 | 4096 | 8192 | 16384;
  /** MiB of a task, 2048 by default. */
  readonly memory?: number;
  /** GiB for temporary files of a stage, 30 by default. */
  readonly storage?: number;
  /** `X86_64` by default. */
  readonly architecture?: 'X86_64' | 'ARM64';
  /** True for Fargate Spot: cheaper, and a stage is tried again where its machine is taken away. */
  readonly spot?: boolean;
  /** ARN of a secret in Secrets Manager, a JSON object; of its fields, those in `secrets` become environment variables of a stage. */
  readonly secret?: string;
  readonly secrets?: readonly string[];
  /** ARN of the key of KMS with which `secret` is encrypted, where that is not the account's own for Secrets Manager. */
  readonly secretKey?: string;
  /** The project's environment as a stage sees it; the name of this one by default. */
  readonly environment?: string;
  /** ARNs of managed policies with what the stages themselves need: buckets, keys, queues. */
  readonly policies?: readonly string[];
  /** ARNs of roles that are there already; the template makes those of the first four that are left out. */
  readonly roles?: {
    readonly machine?: string;
    readonly task?: string;
    readonly execution?: string;
    readonly scheduler?: string;
    /** Roles that the task definitions of `ecs.task` steps name: the state machine hands them over to ECS. */
    readonly passed?: readonly string[];
  };
  /**
   * How stages run. `task`, the default: an ECS task for each, whose end is the stage's end. `token`: the same, but the task reports itself, with a
   * heartbeat and its error's code. `activity`: workers that are always there ask for stages. `{ lambda }`: a function of the same code, for
   * stages of less than 15 minutes.
   */
  readonly work?: 'task' | 'token' | 'activity' | { readonly lambda: string };
  /** Tasks that share the splits of a stage, by its name; one where it is left out. */
  readonly splits?: Readonly<Record<string, number>>;
  /** What Step Functions logs of its own: `error` by default. */
  readonly log?: 'off' | 'error' | 'all';
  /** Days that logs are kept, 30 by default. */
  readonly logDays?: number;
  /** Traces of X-Ray; false by default. */
  readonly xray?: boolean;
  readonly alarms?: StepFunctionsAlarms;
  /** A bucket for templates that are too large to be sent (51,200 bytes). */
  readonly bucket?: string;
}

/** Which alarms the template has beside that of failed executions. */
export interface StepFunctionsAlarms {
  /** ARN of an SNS topic that hears of alarms. */
  readonly topic?: string;
  /** Instances of RDS, by their identifiers. Storage is watched of those alone; Aurora grows its own. */
  readonly rds?: readonly { readonly instance: string; readonly connections?: number; readonly freeStorageGiB?: number }[];
  /** Clusters of Aurora. */
  readonly aurora?: readonly { readonly cluster: string; readonly connections?: number }[];
  /** Replication tasks of DMS. */
  readonly dms?: readonly { readonly instance: string; readonly task: string; readonly latencySeconds?: number }[];
}
