/** A value of a template: JSON with the functions of CloudFormation in it. */
export type Value = unknown;

/**
 * What `${…}` in policies and definitions stands for. Pseudo parameters of CloudFormation, and attributes of what the template makes; a role that
 * is there already stands with its ARN.
 */
export type Places = Readonly<Record<string, Value>>;

const pseudo: Readonly<Record<string, string>> = { Partition: 'AWS::Partition', Region: 'AWS::Region', Account: 'AWS::AccountId' };

/** The same with every text that has a place in it as `Fn::Sub`. Variables of IAM (`${aws:userid}`) stay what they are. */
export function filledIn(value: Value, places: Places): Value {
  if (typeof value === 'string') return filledText(value, places);
  if (Array.isArray(value)) return value.map((one) => filledIn(one, places));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, filledIn(one, places)]));
}

function filledText(text: string, places: Places): Value {
  if (!text.includes('${')) return text;
  const only = /^\$\{(\w+)\}$/.exec(text)?.[1];
  if (only !== undefined && places[only] !== undefined) return places[only];
  const variables: Record<string, Value> = {};
  let functions = false;
  const sub = text.replaceAll(/\$\{([^}]+)\}/g, (whole, name: string) => {
    const own = pseudo[name];
    if (own !== undefined) {
      functions = true;
      return `\${${own}}`;
    }
    if (places[name] === undefined) return `\${!${name}}`;
    functions = true;
    variables[name] = places[name];
    return whole;
  });
  if (!functions) return text;
  return { 'Fn::Sub': Object.keys(variables).length > 0 ? [sub, variables] : sub };
}
