import languageService from 'amazon-states-language-service';
import validate from 'asl-validator';
import type { StateMachines } from '../src/compile.ts';
import { faultsOf } from '../src/machine/faults.ts';

const { getLanguageService, TextDocument } = languageService;
const service = getLanguageService({});

/** What two validators of the language, AWS's own among them, and we have to say against these machines. */
export async function complaints({ main, others }: Pick<StateMachines, 'main' | 'others'>): Promise<string[]> {
  const found: string[] = [];
  for (const { name, definition } of [main, ...others]) {
    // The template fills these in.
    const text = JSON.stringify(definition).replaceAll(/\$\{(\w+)Arn\}/g, 'arn:aws:states:eu-west-1:123456789012:activity:$1');
    const { isValid, errorsText } = validate(JSON.parse(text));
    if (!isValid) found.push(`${name}: ${errorsText('\n')}`);
    const document = TextDocument.create('file:///machine.asl', 'asl', 1, text);
    const diagnostics = await service.doValidation(document, service.parseJSONDocument(document));
    found.push(...diagnostics.map(({ message, range }) => `${name}: ${message} at ${document.getText(range).slice(0, 80)}`));
    found.push(...faultsOf(definition));
  }
  return found;
}
