/** A database of Amazon's, as its host name tells. */
export interface AmazonEndpoint {
  readonly service: 'rds' | 'redshift' | 'redshift-serverless';
  readonly region: string;
  /** Of the instance, cluster, proxy or workgroup. */
  readonly name: string;
  /** `reader` and `custom` lead to any of several instances of a cluster; `proxy` is RDS Proxy. */
  readonly kind: 'instance' | 'writer' | 'reader' | 'custom' | 'proxy';
}

/** `shop.cluster-ro-c1x2y3.eu-west-1.rds.amazonaws.com`; in China the region stands behind the service: `….rds.cn-north-1.amazonaws.com.cn`. */
const forms = [
  /^(?<name>.+)\.(?<region>[a-z0-9-]+)\.(?<service>rds|redshift|redshift-serverless)\.amazonaws\.com(\.cn)?$/,
  /^(?<name>.+)\.(?<service>rds|redshift|redshift-serverless)\.(?<region>[a-z0-9-]+)\.amazonaws\.com\.cn$/,
];

/** Null for every other host. */
export function amazonEndpoint(host: string): AmazonEndpoint | null {
  const { name: path = '', region = '', service } = forms.map((form) => form.exec(host.toLowerCase())).find((match) => match)?.groups ?? {};
  if (service === undefined) return null;
  const [name = ''] = path.split('.');
  if (service === 'rds') return { service, region, name, kind: kindOf(path) };
  return { service: service as 'redshift' | 'redshift-serverless', region, name, kind: 'instance' };
}

function kindOf(path: string): AmazonEndpoint['kind'] {
  const label = path.split('.').at(-1) ?? '';
  if (label.startsWith('proxy-')) return 'proxy';
  if (label.startsWith('cluster-ro-')) return 'reader';
  if (label.startsWith('cluster-custom-')) return 'custom';
  return label.startsWith('cluster-') ? 'writer' : 'instance';
}
