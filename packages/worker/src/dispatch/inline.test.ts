import { dispatchConformance } from '../../test/dispatch-conformance.ts';
import { inlineDispatch } from './inline.ts';

dispatchConformance('in this process', { open: async () => inlineDispatch(), shared: false });
