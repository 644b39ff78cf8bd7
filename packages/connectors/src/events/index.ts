export { type EventsConnection, type EventsSettings, type EventToPut, events } from './connection.ts';
