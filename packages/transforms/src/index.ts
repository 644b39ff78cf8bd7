export { filter } from './filter/filter.ts';
export { map } from './map.ts';
export { cast } from './shape/cast.ts';
export { dedupe } from './shape/dedupe.ts';
export { rename } from './shape/rename.ts';
export { select } from './shape/select.ts';
