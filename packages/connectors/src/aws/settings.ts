import type { Setting } from '@millrace/core/runtime';

/** How a service of AWS is reached. All of it has defaults from the environment: AWS_REGION, AWS_PROFILE, a role, AWS_ENDPOINT_URL. */
export interface AwsSettings {
  readonly region?: string;
  /** Of a service that is not at AWS's own address: a VPC endpoint, an emulator. */
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: Setting; readonly secretAccessKey: Setting; readonly sessionToken?: Setting };
}
