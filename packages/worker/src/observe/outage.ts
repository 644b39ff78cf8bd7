/** Something that may be away for a while: the first failure in a row is told, and the first success after it. */
export interface Outage {
  failed(error: unknown): void;
  worked(): void;
}

export function outage(began: (error: unknown) => void, ended: () => void): Outage {
  let away = false;
  return {
    failed(error) {
      if (!away) began(error);
      away = true;
    },
    worked() {
      if (away) ended();
      away = false;
    },
  };
}
