import type { Value } from './fill.ts';
import type { Resource } from './resource.ts';

/** A role that a service takes for this account's own things only. */
export function role(service: string, source: string, policy: Value | null, managed: readonly string[] = []): Resource {
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
              ArnLike: { 'aws:SourceArn': { 'Fn::Sub': source } },
            },
          },
        ],
      },
      ...(managed.length > 0 ? { ManagedPolicyArns: managed } : {}),
      ...(policy === null ? {} : { Policies: [{ PolicyName: 'millrace', PolicyDocument: policy }] }),
    },
  };
}
