import { MillraceError, type RemoteParameters, type RunValue, remote, type Step, type StepOptions } from '@millrace/core/runtime';
import type { AwsSettings } from '../aws/settings.ts';
import { eventsService } from './client.ts';
import { putEvents } from './put.ts';

export interface EventsSettings extends AwsSettings {
  /** Name or ARN of the bus; the account's default bus where it is left out. */
  readonly bus?: string;
}

export interface EventToPut {
  readonly source: string;
  readonly detailType: string;
  readonly detail: RemoteParameters;
  /** ARNs of what the event is about. */
  readonly resources?: readonly (string | RunValue)[];
}

export interface EventsConnection {
  /** Puts events onto the bus, at least once each. */
  put(events: EventToPut | readonly EventToPut[], step?: StepOptions): Step<never, 'nothing'>;
}

/** Events for EventBridge as steps: `events({ bus: 'etl' }).put({ source: 'shop', detailType: 'Orders loaded', detail: { day: run.date } })`. */
export function events(settings: EventsSettings = {}): EventsConnection {
  const service = eventsService(settings);
  return Object.freeze({
    put: (given: EventToPut | readonly EventToPut[], step: StepOptions = {}) => {
      const all = isList(given) ? given : [given];
      if (all.length === 0) throw new MillraceError('PIPELINE_INVALID', { message: 'There is no event to put.', remedy: 'Give one.' });
      const Entries = all.map(({ source, detailType, detail, resources }) => ({
        Source: source,
        DetailType: detailType,
        Detail: detail,
        ...(settings.bus !== undefined && { EventBusName: settings.bus }),
        ...(resources && { Resources: resources }),
      }));
      return remote(putEvents(service, all.length), { Entries }, step);
    },
  });
}

const isList = (given: EventToPut | readonly EventToPut[]): given is readonly EventToPut[] => Array.isArray(given);
