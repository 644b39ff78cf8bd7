import { expect, test } from 'vitest';
import { amazonEndpoint } from './endpoint.ts';

test.each([
  ['shop.c1x2y3z4.eu-west-1.rds.amazonaws.com', 'rds', 'eu-west-1', 'instance'],
  ['Shop.Cluster-c1x2y3z4.eu-west-1.RDS.amazonaws.com', 'rds', 'eu-west-1', 'writer'],
  ['shop.cluster-ro-c1x2y3z4.us-gov-west-1.rds.amazonaws.com', 'rds', 'us-gov-west-1', 'reader'],
  ['reports.cluster-custom-c1x2y3z4.eu-west-1.rds.amazonaws.com', 'rds', 'eu-west-1', 'custom'],
  ['shop.proxy-c1x2y3z4.eu-west-1.rds.amazonaws.com', 'rds', 'eu-west-1', 'proxy'],
  ['reads.endpoint.proxy-c1x2y3z4.eu-west-1.rds.amazonaws.com', 'rds', 'eu-west-1', 'proxy'],
  ['shop.cluster-c1x2y3z4.rds.cn-north-1.amazonaws.com.cn', 'rds', 'cn-north-1', 'writer'],
  ['sales.c1x2y3z4.eu-west-1.redshift.amazonaws.com', 'redshift', 'eu-west-1', 'instance'],
  ['sales.123456789012.eu-west-1.redshift-serverless.amazonaws.com', 'redshift-serverless', 'eu-west-1', 'instance'],
  ['sales.c1x2y3z4.cn-north-1.redshift.amazonaws.com.cn', 'redshift', 'cn-north-1', 'instance'],
])('%s is %s in %s: %s', (host, service, region, kind) => {
  expect(amazonEndpoint(host)).toEqual({ service, region, kind, name: host.toLowerCase().split('.')[0] });
});

test.each(['localhost', 'db.example.com', 'rds.amazonaws.com', 'shop.eu-west-1.rds.amazonaws.com.evil.example', '10.0.0.1'])(
  '%s is no endpoint of Amazon',
  (host) => {
    expect(amazonEndpoint(host)).toBeNull();
  },
);
