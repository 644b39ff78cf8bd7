import { createHash } from 'node:crypto';

/** The longest name that Step Functions takes, of a state and of a machine. */
export const longestName = 80;

/**
 * Names for states, unique in a whole machine with all its branches: what is wanted where that is possible, else with a hash of it at the
 * end. ASCII without brackets, wildcards and the characters that names of executions may not have either.
 */
export function uniqueNames(): (wanted: string) => string {
  const taken = new Set<string>();
  return (wanted) => {
    let name = plainName(wanted);
    for (let round = 1; taken.has(name); round++) name = shortened(plainName(wanted), `${wanted} ${round}`);
    taken.add(name);
    return name;
  };
}

export function plainName(wanted: string): string {
  const plain = wanted.replaceAll(/[^ -~]|["#%\\^|~`$&,;:/<>{}[\]?*]/g, '-');
  if (plain === wanted && plain.length <= longestName) return plain;
  return shortened(plain, wanted);
}

function shortened(plain: string, of: string): string {
  const hash = createHash('sha256').update(of).digest('hex').slice(0, 8);
  return `${plain.slice(0, longestName - 9)}-${hash}`;
}
