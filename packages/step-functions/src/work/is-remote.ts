/** True for a step or a stage whose work a service does. */
export const isRemote = ({ kind }: { readonly kind: string }): boolean => kind === 'remote';
