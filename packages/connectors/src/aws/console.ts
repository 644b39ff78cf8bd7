/** Where a person looks at a thing: a page of the region's console. `path` begins behind the host: `gluestudio/home?region=…#/…`. */
export function consoleLink(region: string, path: string): string {
  const host = region.startsWith('cn-')
    ? 'console.amazonaws.cn'
    : region.startsWith('us-gov-')
      ? 'console.amazonaws-us-gov.com'
      : `${region}.console.aws.amazon.com`;
  return `https://${host}/${path}`;
}

/** `arn:aws:ecs:eu-west-1:123456789012:task/…` → `eu-west-1`. */
export const regionOfArn = (arn: string): string | null => /^arn:[\w-]+:[\w-]+:([\w-]+):/.exec(arn)?.[1] ?? null;
