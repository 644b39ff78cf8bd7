import type { Value } from './fill.ts';
import type { Resource } from './resource.ts';

/** A role that a service takes for these things of this account only. */
export function role(service: string, sources: readonly string[], policy: Value | null, managed: readonly string[] = []): Resource {
  const filled = sources.map((source) => ({ 'Fn::Sub': source }));
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { Service: service },
            Action: 'sts:AssumeRole',
            Condition: {
              StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
              ArnLike: { 'aws:SourceArn': filled.length === 1 ? filled[0] : filled },
            },
          },
        ],
      },
      ...(managed.length > 0 ? { ManagedPolicyArns: managed } : {}),
      ...(policy === null ? {} : { Policies: [{ PolicyName: 'millrace', PolicyDocument: policy }] }),
    },
  };
}
