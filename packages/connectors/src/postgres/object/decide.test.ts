import { expect, it } from 'vitest';
import { decideDeployment } from './decide.ts';
import type { DeployedFile } from './deployed.ts';
import { isMadeBy, keyOf, type SqlObject } from './object.ts';

const view = (name: string, definition = name): SqlObject => ({ kind: 'view', schema: 'a', name, identity: `a.${name}`, definition });
const file = (name: string, hash = name) => ({ name, hash, text: '' });
const deployed = (name: string, objects: readonly SqlObject[], hash = name): DeployedFile => ({ file: name, hash, objects, server: 17 });
const there = (...objects: SqlObject[]) => new Map(objects.map((object) => [keyOf(object), object]));

it('says of each file what there is to do', () => {
  const { files, gone, drift } = decideDeployment(
    {
      files: ['new', 'changed', 'missing', 'same', 'touched'].map((name) => file(name, name === 'changed' ? 'other' : name)),
      changed: 'tell',
    },
    [...['changed', 'missing', 'same', 'touched', 'gone'].map((name) => deployed(name, [view(name)]))],
    there(view('changed'), view('same'), view('touched', 'other'), view('gone')),
    17,
  );
  expect(files.map(({ is }) => is)).toEqual(['new', 'changed', 'missing', 'same', 'same']);
  expect(drift).toEqual([{ file: 'touched', object: view('touched') }]);
  expect(gone.map(({ file: name }) => name)).toEqual(['gone']);
});

it('another server may print a definition in other words: that is no change', () => {
  expect(
    decideDeployment({ files: [file('f')], changed: 'restore' }, [deployed('f', [view('v')])], there(view('v', 'other')), 18),
  ).toMatchObject({
    files: [{ is: 'same' }],
    drift: [],
  });
});

it('a renamed file is known by its content; of two, each once', () => {
  const { files, renamed, gone } = decideDeployment(
    { files: [file('x', 'h'), file('y', 'h'), file('z', 'h')], changed: 'tell' },
    [deployed('a', [], 'h'), deployed('b', [], 'h')],
    there(),
    17,
  );
  expect(renamed).toEqual([
    { from: 'a', to: 'x' },
    { from: 'b', to: 'y' },
  ]);
  expect(files.map(({ is }) => is)).toEqual(['same', 'same', 'new']);
  expect(gone).toEqual([]);
});

it.each([
  ['CREATE FUNCTION a.f(int)', 'function', 'f', true],
  ['create or replace\nfunction "a" . "f" (', 'function', 'f', true],
  ['create function a.ff()', 'function', 'f', false],
  ['grant execute on function a.f() to x', 'function', 'f', false],
  ['CREATE DOMAIN a.t AS text', 'type', 't', true],
  ['create constraint trigger "t.1" after', 'trigger', 't.1', true],
  ['create materialized view if not exists m as', 'materialized view', 'm', true],
  ['create view m as', 'materialized view', 'm', false],
  ['create unique index i on t (n)', 'index', 'i', true],
] as const)('%s makes the %s %s: %s', (text, kind, name, made) => {
  expect(isMadeBy(text, { kind, name })).toBe(made);
});
