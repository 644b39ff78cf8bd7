import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';

/**
 * A connection for each call. One that is kept for the next call may have been closed by the service in the same moment, and of a call that fails on
 * it nobody knows whether it was heard. TCP looks after it while it waits: some calls are answered after a quarter of an hour.
 */
export const oneCallAgents = (): { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent } => ({
  httpAgent: new OneCallHttpAgent({ keepAlive: true }),
  httpsAgent: new OneCallHttpsAgent({ keepAlive: true }),
});

class OneCallHttpAgent extends HttpAgent {
  override keepSocketAlive(): boolean {
    return false;
  }
}

class OneCallHttpsAgent extends HttpsAgent {
  override keepSocketAlive(): boolean {
    return false;
  }
}
