/** List prices in US dollars, as AWS shows them for us-east-1; other regions are up to a third dearer. Free tiers are left out. */
export const prices = {
  /** When they were what they are here, as far as is known: nobody asks AWS for them. A figure made with them is an estimate. */
  asOf: '2025-06',
  region: 'us-east-1',
  stateTransition: 0.025 / 1000,
  fargate: {
    X86_64: { cpuHour: 0.04048, gibHour: 0.004445 },
    ARM64: { cpuHour: 0.03238, gibHour: 0.00356 },
    /** Of disk beyond 20 GiB. */
    storageGibHour: 0.000111,
    /** Spot costs about so much of it; it changes. */
    spotShare: 0.35,
  },
  glue: { dpuHour: 0.44, flexDpuHour: 0.29 },
  dms: { dcuHour: 0.087 },
  lambda: { request: 0.2 / 1_000_000, gibSecond: 0.0000166667 },
  s3: { write: 0.005 / 1000, read: 0.0004 / 1000 },
  events: 1 / 1_000_000,
  sns: 0.5 / 1_000_000,
} as const;
