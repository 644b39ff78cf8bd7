/** Things that are opened one after the other and closed together, the last first. What they are opened with is awaited, however it ends. */
export class Held implements AsyncDisposable {
  readonly #held: AsyncDisposable[] = [];

  hold<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#held.push(resource);
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (let resource = this.#held.pop(); resource; resource = this.#held.pop()) {
      try {
        await resource[Symbol.asyncDispose]();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure) throw failure.error;
  }
}
