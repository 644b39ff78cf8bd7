import { createHash } from 'node:crypto';

/** The longest name that Step Functions takes, of a state and of a machine. */
export const longestName = 80;

/** Of a pipeline's machine, or with a suffix of one beside it. Where that would be too long a hash is in it; so are none that people type. */
export const machineName = (pipeline: string, suffix = ''): string =>
  `${fitting(`millrace-${pipeline}`, longestName - suffix.length)}${suffix}`;

/** What names of its executions begin with, so that a time finds room behind it. */
export const executionPrefix = (pipeline: string): string => fitting(pipeline, longestName - 30);

/** Of a pipeline's stack: letters, digits and hyphens are all that CloudFormation takes, so a hash tells `a_b` from `a-b`. */
export function stackName(pipeline: string): string {
  const wanted = `millrace-${pipeline}`;
  const plain = wanted.replaceAll(/[^A-Za-z0-9-]/g, '-');
  return plain === wanted ? fitting(wanted, longestStackName) : shortened(plain, wanted, longestStackName);
}

const longestStackName = 128;

/**
 * Names for states, unique in a whole machine with all its branches: what is wanted where that is possible, else with a hash of it at the
 * end. ASCII without brackets, wildcards and the characters that names of executions may not have either.
 */
export function uniqueNames(): (wanted: string) => string {
  const taken = new Set<string>();
  return (wanted) => {
    let name = plainName(wanted);
    for (let round = 1; taken.has(name); round++) name = shortened(plainName(wanted), `${wanted} ${round}`, longestName);
    taken.add(name);
    return name;
  };
}

export function plainName(wanted: string): string {
  const plain = wanted.replaceAll(/[^ -~]|["#%\\^|~`$&,;:/<>{}[\]?*]/g, '-');
  return plain === wanted ? fitting(plain, longestName) : shortened(plain, wanted, longestName);
}

const fitting = (name: string, longest: number): string => (name.length <= longest ? name : shortened(name, name, longest));

function shortened(plain: string, of: string, longest: number): string {
  const hash = createHash('sha256').update(of).digest('hex').slice(0, 8);
  return `${plain.slice(0, longest - 9)}-${hash}`;
}
