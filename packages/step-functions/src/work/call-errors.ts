/**
 * Errors of a service after which the same call may succeed, by the names that Step Functions gives them. What an API does not declare, throttling among
 * it, comes under one name for each client (`Glue.AWSGlueException`: "Rate exceeded"); an answer that was lost is `SdkClientException`. Optimized
 * integrations have the names of version 1 of the SDK for Java, those of `aws-sdk:` of version 2, in which every name ends with `Exception`.
 *
 * https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
 */
const called = (service: string, ...names: readonly string[]): readonly string[] => names.map((name) => `${service}.${name}`);

/** Not what was lost on the way: that may have been a start, and Glue has no token by which a second one would be the same. */
export const glueErrors = called(
  'Glue',
  'AWSGlueException',
  'ConcurrentRunsExceededException',
  'InternalServiceException',
  'OperationTimeoutException',
  'ResourceNumberLimitExceededException',
  'ThrottlingException',
);

/** `AmazonECS.Unknown`: no room for the task. `InvalidParameterException`: also what EC2 has refused to ECS for want of patience. Without what was lost on the way, as above. */
export const ecsErrors = [
  'AmazonECS.Unknown',
  ...called('ECS', 'AmazonECSException', 'InvalidParameterException', 'ServerException', 'ThrottlingException'),
];

/** https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html */
export const lambdaErrors = called(
  'Lambda',
  'AWSLambdaException',
  'ClientExecutionTimeoutException',
  'EC2ThrottledException',
  'EC2UnexpectedException',
  'ENILimitReachedException',
  'ResourceConflictException',
  'ResourceNotReadyException',
  'SdkClientException',
  'ServiceException',
  'SnapStartNotReadyException',
  'SnapStartTimeoutException',
  'SubnetIPAddressLimitReachedException',
  'TooManyRequestsException',
);

export const eventsErrors = called(
  'EventBridge',
  'AmazonEventBridgeException',
  'FailedEntry',
  'InternalException',
  'SdkClientException',
  'ThrottlingException',
);

export const snsErrors = called(
  'SNS',
  'AmazonSNSException',
  'InternalErrorException',
  'KMSThrottlingException',
  'SdkClientException',
  'ThrottledException',
  'ThrottlingException',
);

export const rdsDataErrors = called(
  'RdsData',
  'DatabaseResumingException',
  'DatabaseUnavailableException',
  'InternalServerErrorException',
  'RdsDataException',
  'SdkClientException',
  'ServiceUnavailableErrorException',
  'ThrottlingException',
);

export const dmsErrors = called(
  'DatabaseMigration',
  'DatabaseMigrationException',
  'InternalServerException',
  'SdkClientException',
  'ThrottlingException',
);

/** DMS's `InvalidResourceStateFault`: a replication that runs already, or cannot be started for another reason. */
export const dmsNotNow = called('DatabaseMigration', 'InvalidResourceStateException', 'InvalidResourceStateFault');

/** Of starting another machine. */
export const startErrors = called(
  'StepFunctions',
  'AWSStepFunctionsException',
  'ExecutionLimitExceeded',
  'ExecutionLimitExceededException',
  'SdkClientException',
  'ThrottlingException',
);
