import type { StateAddress } from '../store/address.ts';
import { connect } from '../store/connect.ts';
import { migrate } from '../store/migrate.ts';
import { type FleetOverview, fleetOverview } from '../store/overview.ts';

/** Looks at everything that works on a state database, as often as it is asked. */
export interface Overview extends AsyncDisposable {
  /** @throws STATE_UNAVAILABLE */
  look(): Promise<FleetOverview>;
}

/** @throws CONFIG_INVALID, STATE_UNAVAILABLE, STATE_VERSION */
export async function overviewOf(state: StateAddress): Promise<Overview> {
  const connection = connect(state);
  try {
    await connection.guard(migrate);
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
  return {
    look: () => connection.guard(fleetOverview),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}
