import { expect, test } from 'vitest';
import { bundleOf } from './authorities.ts';
import { amazonEndpoint } from './endpoint.ts';

const redshift = 'https://s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt';
const redshiftOfChina = 'https://s3.cn-north-1.amazonaws.com.cn/redshift-downloads-cn/amazon-trust-ca-bundle.crt';

test.each([
  ['shop.c1x2y3z4.eu-west-1.rds.amazonaws.com', 'https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem'],
  [
    'shop.cluster-c1x2y3z4.us-gov-east-1.rds.amazonaws.com',
    'https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem',
  ],
  ['shop.c1x2y3z4.rds.cn-northwest-1.amazonaws.com.cn', 'https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem'],
  ['shop.proxy-c1x2y3z4.us-gov-west-1.rds.amazonaws.com', redshift],
  ['shop.proxy-c1x2y3z4.rds.cn-north-1.amazonaws.com.cn', redshiftOfChina],
  ['sales.c1x2y3z4.us-gov-west-1.redshift.amazonaws.com', redshift],
  ['sales.123456789012.eu-west-1.redshift-serverless.amazonaws.com', redshift],
  ['sales.c1x2y3z4.cn-north-1.redshift.amazonaws.com.cn', redshiftOfChina],
])('the authorities of %s are at %s', (host, bundle) => {
  const endpoint = amazonEndpoint(host);
  expect(endpoint && bundleOf(endpoint)).toBe(bundle);
});
